-- What the extension consists of, and that all of it explains itself.
CREATE EXTENSION clari_export;
SELECT extname, extversion, extrelocatable FROM pg_extension WHERE extname = 'clari_export';

-- Without the row types, of which some versions of PostgreSQL keep a record of their own.
CREATE TEMPORARY VIEW object AS
    SELECT classid, objid, pg_describe_object(classid, objid, 0) COLLATE "C" AS name
    FROM pg_depend
    WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e' AND classid <> 'pg_type'::regclass
      AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'clari_export');

SELECT name FROM object ORDER BY name;

-- Objects, columns of tables, triggers and policies without a comment
SELECT name FROM object WHERE obj_description(objid, classid::regclass::name) IS NULL
UNION ALL
SELECT pg_describe_object(classid, objid, attnum)
FROM object, pg_attribute
WHERE classid = 'pg_class'::regclass AND attrelid = objid AND attnum > 0 AND col_description(objid, attnum) IS NULL
  AND (SELECT relkind = 'r' FROM pg_class WHERE oid = objid)
UNION ALL
SELECT pg_describe_object('pg_trigger'::regclass, t.oid, 0)
FROM object, pg_trigger t
WHERE classid = 'pg_class'::regclass AND tgrelid = objid AND obj_description(t.oid, 'pg_trigger') IS NULL
UNION ALL
SELECT pg_describe_object('pg_policy'::regclass, p.oid, 0)
FROM object, pg_policy p
WHERE classid = 'pg_class'::regclass AND polrelid = objid AND obj_description(p.oid, 'pg_policy') IS NULL;

-- What not everybody may run; the wrapper and a server are used with permission only.
SELECT proname FROM object, pg_proc p
WHERE classid = 'pg_proc'::regclass AND p.oid = objid AND NOT has_function_privilege('public', p.oid, 'EXECUTE')
ORDER BY proname;
SELECT fdwname, fdwhandler, fdwvalidator::regproc, fdwacl FROM pg_foreign_data_wrapper;

-- Nothing of it stays.
DROP VIEW object;
DROP EXTENSION clari_export;
SELECT count(*) FROM pg_class WHERE relname LIKE 'clari_export%';
SELECT count(*) FROM pg_proc WHERE proname LIKE 'clari_export%';
