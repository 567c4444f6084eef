"""The service. There is no HTTP here: the host makes HTTP from the contract in wit/."""

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports import {{snake}}


class {{pascal}}(exports.{{pascal}}):
    async def greet(self, person: str) -> {{snake}}.Greeting:
        if person == "nobody":
            raise Err({{snake}}.Error_NotFound())
        return {{snake}}.Greeting(f"Hello, {person}!")
