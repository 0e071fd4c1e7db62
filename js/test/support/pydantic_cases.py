"""Writes pydantic.json: schemas as pydantic writes them, with values that it takes and values that it refuses.

    pip install pydantic==2.14.4 email-validator
    python pydantic_cases.py > pydantic.json

Values are judged by pydantic itself, in strict mode, as JSON: a schema does not say what lax mode converts.
"""

import json
import sys
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal, NamedTuple, Optional, Union
from uuid import UUID

from pydantic import (
    UUID4, AnyUrl, Base64Str, BaseModel, ConfigDict, EmailStr, Field, HttpUrl, IPvAnyAddress, JsonValue,
    NegativeInt, NonNegativeFloat, PositiveInt, RootModel, StringConstraints, TypeAdapter, ValidationError, conint,
    conlist, constr,
)
from typing_extensions import TypedDict

ID = '123e4567-e89b-42d3-a456-426614174000'


class Colour(str, Enum):
    red = 'red'
    green = 'green'


class Level(IntEnum):
    low = 1
    high = 2


class One(Enum):
    only = 'only'


class User(BaseModel):
    """A person."""

    id: int
    name: str = Field(min_length=1, max_length=20, description='What they are called', examples=['Ada'])
    email: Optional[str] = None
    tags: list[str] = []


class Closed(BaseModel):
    model_config = ConfigDict(extra='forbid', title='Closed one')
    a: int
    b: bool = True


class Open(BaseModel):
    model_config = ConfigDict(extra='allow')
    a: int


class Counted(BaseModel):
    __pydantic_extra__: dict[str, int]
    model_config = ConfigDict(extra='allow')
    a: str


class Aliased(BaseModel):
    first_name: str = Field(alias='firstName')
    last: str = Field(validation_alias='last-name')


class Address(BaseModel):
    street: str
    country: Literal['CH', 'DE'] = 'CH'


class Company(BaseModel):
    name: str
    address: Address
    others: list[Address] = Field(default_factory=list, max_length=3)
    by_name: dict[str, Address] = {}


class Cat(BaseModel):
    kind: Literal['cat']
    meows: int


class Dog(BaseModel):
    kind: Literal['dog']
    barks: float


class Pet(BaseModel):
    pet: Union[Cat, Dog] = Field(discriminator='kind')


class Tree(BaseModel):
    value: int
    children: list['Tree'] = []


class Chain(BaseModel):
    value: int
    next: Optional['Chain'] = None


class Employee(User):
    boss: Optional[User] = None
    level: Level


class Point(NamedTuple):
    x: float
    y: float


class Movie(TypedDict):
    title: str
    year: int


class Partial(TypedDict, total=False):
    a: int
    b: str


class Ids(RootModel[list[int]]):
    pass


class Extraction(BaseModel):
    """What a text says of an event."""

    title: str = Field(pattern=r'^[A-Z].*$')
    when: date
    price: Annotated[Decimal, Field(ge=0, max_digits=8, decimal_places=2)]
    rating: Annotated[float, Field(ge=0, le=5)]
    colour: Colour
    people: conlist(User, min_length=1, max_length=2)
    score: Annotated[int, Field(multiple_of=5, gt=0, lt=100)]
    note: str | None = Field(default=None, max_length=10)
    any: Any = None


user = {'id': 1, 'name': 'Ada'}
company = {'name': 'a', 'address': {'street': 'b'}}
event = {
    **{'title': 'Talk', 'when': '2024-02-29', 'price': '12.50', 'rating': 4.5, 'colour': 'red'},
    **{'people': [user], 'score': 25},
}

# name → (type, values that it takes, values that it refuses)
CASES = {
    'str': (str, ['', 'a "b" é'], [1, None]),
    'int': (int, [0, -7, 12345678901], [1.5, '1', None]),
    'float': (float, [0, 1.5, -2e3], ['1', None]),
    'bool': (bool, [True, False], [0, 'true']),
    'None': (None, [None], [0, '']),
    'Any': (Any, [1, 'a', None, [1], {'a': 1}], []),
    'JsonValue': (JsonValue, [1, 'a', None, [1], {'a': [None]}], []),
    'Optional': (Optional[int], [1, None], ['a']),
    'Union': (Union[int, str], [1, 'a'], [None, 1.5]),
    'nested Union': (Union[list[int], dict[str, str], None], [[1], {'a': 'b'}, None], [1, ['a'], {'a': 1}]),
    'Literal': (Literal['a', 1, None], ['a', 1, None], ['b', 2]),
    'Literal of one': (Literal['a'], ['a'], ['b']),
    'Enum': (Colour, ['red'], ['blue', 1]),
    'Enum of one': (One, ['only'], ['other']),
    'IntEnum': (Level, [1, 2], [3, '1']),
    'list': (list[int], [[], [1, 2]], [['a'], 1]),
    'list of any': (list, [[], [1, 'a']], [1]),
    'bounded list': (conlist(int, min_length=1, max_length=2), [[1], [1, 2]], [[], [1, 2, 3]]),
    'set of Literal': (set[Literal['a', 'b']], [[], ['a'], ['b', 'a']], [['c']]),
    'tuple': (tuple[int, str], [[1, 'a']], [[1], [1, 'a', 2], ['a', 1]]),
    'tuple of any number': (tuple[int, ...], [[], [1, 2]], [['a']]),
    'NamedTuple': (Point, [[1.0, 2.5]], [[1.0], [1.0, 2.0, 3.0]]),
    'dict': (dict[str, int], [{}, {'a': 1, 'b c': 2}], [{'a': 'b'}, []]),
    'dict of any': (dict, [{}, {'a': [1]}], [[]]),
    'dict by Enum': (dict[Colour, int], [{}, {'red': 1}], [{'blue': 1}, {'red': 'a'}]),
    'dict by Literal': (dict[Literal['a', 'b'], bool], [{'a': True}], [{'c': True}]),
    'dict by pattern': (dict[Annotated[str, StringConstraints(pattern='^x-')], int], [{'x-a': 1}], [{'x-a': 'b'}]),
    'bounded dict': (Annotated[dict[str, int], Field(min_length=1, max_length=2)], [{'a': 1}], [{}]),
    'TypedDict': (Movie, [{'title': 'a', 'year': 1}], [{'title': 'a'}, {'title': 1, 'year': 1}]),
    'TypedDict of optional keys': (Partial, [{}, {'a': 1}, {'a': 1, 'b': 'c'}], [{'a': 'b'}]),
    'constr': (constr(min_length=2, max_length=3), ['ab', 'abc'], ['a', 'abcd']),
    'pattern': (constr(pattern=r'^\d{3}-[A-Z]+$'), ['123-AB'], ['12-AB', 'x123-AB']),
    'pattern that is searched': (constr(pattern=r'b+'), ['b', 'abbc'], ['a', '']),
    'pattern with classes': (constr(pattern=r'^[\w.-]+\s?\S$'), ['a.b c', 'abc'], ['']),
    'conint': (conint(ge=1, lt=10), [1, 9], [0, 10]),
    'multiple_of': (conint(multiple_of=3), [0, -6, 9], [1, 10]),
    'PositiveInt': (PositiveInt, [1, 99], [0, -1]),
    'NegativeInt': (NegativeInt, [-1, -99], [0, 1]),
    'NonNegativeFloat': (NonNegativeFloat, [0, 1.5], [-0.5]),
    'bounded float': (Annotated[float, Field(gt=-1.5, le=2.25)], [-1.25, 2.25, 0], [-1.5, 2.5]),
    'Decimal': (Decimal, ['1.5', '-3'], [True, None]),
    'bounded Decimal': (Annotated[Decimal, Field(max_digits=5, decimal_places=2)], ['123.45', '1'], [True]),
    'date': (date, ['2024-02-29'], ['2023-02-29', 'a']),
    'datetime': (datetime, ['2024-02-29T03:04:05Z', '2024-02-29T03:04:05+02:00'], ['2024-13-01T00:00:00Z', 'a']),
    'time': (time, ['03:04:05Z'], ['25:00:00Z', 'a']),
    'timedelta': (timedelta, ['P1DT2H', 'PT5S'], ['a']),
    'UUID': (UUID, [ID], ['123']),
    'UUID4': (UUID4, [ID], ['123']),
    'EmailStr': (EmailStr, ['ada@python.org'], ['ada', '@b.c']),
    'HttpUrl': (HttpUrl, ['https://a.bc/d?e=f'], ['a']),
    'AnyUrl': (AnyUrl, ['ftp://a.bc/d'], ['a']),
    'IPvAnyAddress': (IPvAnyAddress, ['1.2.3.4'], []),
    'Base64Str': (Base64Str, ['YQ=='], []),
    'bytes': (bytes, ['abc'], [1]),
    'a model': (
        User,
        [user, {**user, 'email': None, 'tags': ['a']}],
        [{'id': 1}, {**user, 'id': 'a'}, {**user, 'name': ''}],
    ),
    'a closed model': (Closed, [{'a': 1}, {'a': 1, 'b': False}], [{'a': 1, 'c': 1}, {}]),
    'an open model': (Open, [{'a': 1}], [{}, {'a': 'b'}]),
    'typed extras': (Counted, [{'a': 'b'}, {'a': 'b', 'c': 1}], [{'a': 'b', 'c': 'd'}]),
    'aliases': (Aliased, [{'firstName': 'a', 'last-name': 'b'}], [{'first_name': 'a', 'last': 'b'}]),
    'models in models': (
        Company,
        [company, {**company, 'others': [{'street': 'c', 'country': 'DE'}], 'by_name': {'x': {'street': 'd'}}}],
        [{'name': 'a'}, {'name': 'a', 'address': {'street': 'b', 'country': 'FR'}}],
    ),
    'a discriminated union': (
        Pet,
        [{'pet': {'kind': 'cat', 'meows': 1}}, {'pet': {'kind': 'dog', 'barks': 1.5}}],
        [{'pet': {'kind': 'cat', 'barks': 1.5}}, {'pet': {'kind': 'cow'}}],
    ),
    'a plain union of models': (Union[Cat, Dog], [{'kind': 'cat', 'meows': 1}], [{'kind': 'cat'}]),
    'a tree': (
        Tree,
        [{'value': 1}, {'value': 1, 'children': [{'value': 2, 'children': []}]}],
        [{'value': 1, 'children': [{}]}],
    ),
    'a chain': (Chain, [{'value': 1, 'next': {'value': 2, 'next': None}}], [{'value': 1, 'next': 2}]),
    'inheritance': (Employee, [{**user, 'level': 2}, {**user, 'boss': user, 'level': 1}], [{**user, 'level': 3}, user]),
    'RootModel': (Ids, [[1, 2]], [['a']]),
    'list of models': (list[User], [[], [user]], [[{'id': 1}]]),
    'an extraction': (
        Extraction,
        [event, {**event, 'note': None, 'any': [1]}],
        [{**event, 'title': 'talk'}, {**event, 'rating': 6}, {**event, 'people': []}, {**event, 'score': 7}],
    ),
}

# What few types take: schemas are held to refuse what pydantic does.
ODD = [None, True, -1.5, 'zz', [1], {'a': 1, 'zzz': None}]


# A schema of these says only what type they have.
WIDER = {'Decimal': str, 'bounded Decimal': str, 'Base64Str': str, 'bytes': str, 'dict by pattern': dict}


def takes(adapter: TypeAdapter, value: Any) -> bool:
    try:
        adapter.validate_json(json.dumps(value), strict=True)
    except ValidationError:
        return False
    return True


cases = []
for name, (type_, right, wrong) in CASES.items():
    adapter = TypeAdapter(type_)
    for value in right:
        assert takes(adapter, value), f'{name} refuses {value!r}'
    for value in wrong:
        assert not takes(adapter, value), f'{name} takes {value!r}'
    odd = [takes(adapter, value) or (name in WIDER and isinstance(value, WIDER[name])) for value in ODD]
    case = {'name': name, 'right': right, 'wrong': wrong, 'odd': odd}
    cases.append({**case, 'schema': adapter.json_schema(mode='validation')})
json.dump({'odd': ODD, 'cases': cases}, sys.stdout, indent=1)
print()
