"""The service `products`: what is sold. There is no HTTP here: the host makes HTTP from the contract."""

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports import products

PRODUCTS = {
    1: products.Product(1, "Mug", 900),
    2: products.Product(2, "Kettle", 4500),
}


class Products(exports.Products):
    async def get(self, id: int) -> products.Product:
        if id not in PRODUCTS:
            raise Err(products.Error_NotFound())
        return PRODUCTS[id]

    async def everything(self) -> list[products.Product]:
        return list(PRODUCTS.values())
