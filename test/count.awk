# count.awk - read the log of a test harness and print how many tests passed and how many failed

# TAP: cmocka, pg_regress since PostgreSQL 16
/^ok /     { passed++ }
/^not ok / { failed++ }

# pg_regress of PostgreSQL 15
/^test .* \.\.\. ok/     { passed++ }
/^test .* \.\.\. FAILED/ { failed++ }

# Python's unittest
/^Ran [0-9]+ tests? in / { passed += $2 }
/^(OK|FAILED) \(/ {
	while (match($0, /(failures|errors|skipped)=[0-9]+/))
	{
		split(substr($0, RSTART, RLENGTH), count, "=")
		passed -= count[2]
		failed += count[1] == "skipped" ? 0 : count[2]
		$0 = substr($0, RSTART + RLENGTH)
	}
}

# prove: the total, then each file that did not end well, perhaps without a failed test
/^Files=[0-9]+, Tests=[0-9]+/ {
	sub(/.*Tests=/, "")
	passed += $1 + 0
}
/\(Wstat: .* Failed: [0-9]+\)$/ {
	sub(/.*Failed: /, "")
	passed -= $1 + 0
	failed += $1 + 0 > 0 ? $1 + 0 : 1
}

END { print passed + 0, failed + 0 }
