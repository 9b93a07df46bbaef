"""A sales organization of any size: a head, regions, managers, representatives. Always the same for a seed."""

import random
from functools import lru_cache
from typing import NamedTuple, Optional

REPS_A_MANAGER = 5
MANAGERS_A_REGION = 3
MAX_REGIONS = 6
DEFAULT_REPS = 40

REGIONS = ("Americas East", "EMEA North", "APAC", "Americas West", "EMEA South", "Public Sector")
FIRST_NAMES = ("Amara", "Björn", "Carla", "Diego", "Elena", "Farid", "Grace", "Hiro", "Ines", "Jonas", "Kavya",
               "Liam", "Maya", "Nils", "Olga", "Priya", "Quinn", "Rosa", "Samir", "Tessa", "Umar", "Vera",
               "Wen", "Yusuf", "Zoë")
LAST_NAMES = ("Adeyemi", "Bauer", "Castillo", "Dubois", "Eriksen", "Fischer", "García", "Haddad", "Ivanova",
              "Jensen", "Kowalski", "Larsson", "Moreau", "Nakamura", "O'Brien", "Petrov", "Quispe", "Rossi",
              "Silva", "Tanaka", "Usman", "Vasquez", "Weber", "Yilmaz", "Zhang")


class Person(NamedTuple):
    index: int
    parent: Optional[int]        # an index; a parent always comes before its children
    name: str
    email: str
    role: str
    role_id: str
    level: str                   # HEAD, REGION, MANAGER or REP

    @property
    def user_id(self):
        return str(310001 + self.index)

    @property
    def crm_id(self):
        return f"0055f00000{self.index:05d}AAC"

    @property
    def scope(self):
        return f"{self.role_id}::{'REP' if self.level == 'REP' else 'MGR'}"


class HierarchyBuilder:
    def __init__(self, seed):
        self._random = random.Random(f"{seed}/people")
        self._people = []
        self._emails = set()

    def add(self, parent, role, level):
        index = len(self._people)
        first, last = self._random.choice(FIRST_NAMES), self._random.choice(LAST_NAMES)
        person = Person(index, parent, f"{first} {last}", self._email(first, last, index), role,
                        str(1900 + index), level)
        self._people.append(person)
        return index

    def _email(self, first, last, index):
        local = f"{first}.{last}".lower().translate(str.maketrans("öëíáóé", "oeiaoe", "'"))
        if local in self._emails:
            local += str(index)
        self._emails.add(local)
        return f"{local}@example.com"

    def role(self, index):
        return self._people[index].role

    def people(self):
        return tuple(self._people)


@lru_cache(maxsize=16)
def sales_hierarchy(seed, reps=DEFAULT_REPS):
    """All people, parents before children, representatives last."""
    managers = -(-reps // REPS_A_MANAGER)
    regions = min(MAX_REGIONS, -(-managers // MANAGERS_A_REGION))
    builder = HierarchyBuilder(seed)
    head = builder.add(None, "Worldwide Sales", "HEAD")
    region_indexes = [builder.add(head, REGIONS[n], "REGION") for n in range(regions)]
    manager_indexes = [
        builder.add(region_indexes[n % regions], f"{REGIONS[n % regions]} Team {n // regions + 1}", "MANAGER")
        for n in range(managers)]
    for n in range(reps):
        manager = manager_indexes[n % managers]
        builder.add(manager, f"{builder.role(manager)} Rep {n // managers + 1}", "REP")
    return builder.people()


def below(people, scope):
    """The part of the hierarchy under that scope, its head included; everybody if nobody has the scope."""
    heads = [person.index for person in people if person.scope == scope]
    if not heads:
        return people
    kept = set(heads)
    for person in people:
        if person.parent in kept:
            kept.add(person.index)
    return tuple(person for person in people if person.index in kept)
