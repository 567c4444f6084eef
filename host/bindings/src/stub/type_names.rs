//! What a type is called in a stub. The way through the parts of a type is the same in each language; its words are the
//! language's own.

use wit_bindgen_core::wit_parser::{Resolve, Type, TypeDefKind, TypeId};

/// The names of the types of a contract in one language.
pub(super) trait TypeNames<'a> {
    /// The types.
    fn resolve(&self) -> &'a Resolve;

    /// A type that is no other's definition; `None` if the language has none for it.
    fn scalar(&self, ty: Type) -> Option<&'static str>;

    /// A type that the contract has called `name`, if the language calls it so, too. Else it is taken for what it is.
    fn by_name(&mut self, id: TypeId, name: &str) -> Result<Option<String>, String>;

    /// A type that only this language has a form for.
    fn defined(&mut self, _kind: &'a TypeDefKind) -> Option<Result<String, String>> {
        None
    }

    /// An option of `inner`, which is called `name`.
    fn option(&mut self, inner: Type, name: &str) -> String;

    /// A list of `item`, which is called `name`.
    fn list(&mut self, item: Type, name: &str) -> String;

    /// A tuple of types that are called so.
    fn tuple(&mut self, names: &[String]) -> String;

    /// A result, each side of which may have no type.
    fn result(&mut self, ok: Option<String>, error: Option<String>) -> String;

    /// The name of a type.
    fn name(&mut self, ty: Type) -> Result<String, String> {
        match ty {
            Type::Id(id) => self.of(id),
            Type::ErrorContext => Err("there is no stub with an error-context".to_owned()),
            other => self.scalar(other).map(str::to_owned).ok_or_else(|| format!("there is no stub with {other:?}")),
        }
    }

    /// The name of a type that may be left out.
    fn optional(&mut self, ty: Option<Type>) -> Result<Option<String>, String> {
        ty.map(|ty| self.name(ty)).transpose()
    }

    /// The name of a type of the contract.
    fn of(&mut self, id: TypeId) -> Result<String, String> {
        let named = self.resolve().types[id].name.as_deref();
        match named.map(|name| self.by_name(id, name)).transpose()?.flatten() {
            Some(name) => Ok(name),
            None => self.kind(id),
        }
    }

    /// A type of the contract by what it is, whatever it is called.
    fn kind(&mut self, id: TypeId) -> Result<String, String> {
        let kind = &self.resolve().types[id].kind;
        if let Some(defined) = self.defined(kind) {
            return defined;
        }
        Ok(match kind {
            TypeDefKind::Type(used) => self.name(*used)?,
            TypeDefKind::Option(inner) => {
                let name = self.name(*inner)?;
                self.option(*inner, &name)
            }
            TypeDefKind::List(item) => {
                let name = self.name(*item)?;
                self.list(*item, &name)
            }
            TypeDefKind::Tuple(tuple) => {
                let names: Result<Vec<_>, _> = tuple.types.iter().map(|ty| self.name(*ty)).collect();
                self.tuple(&names?)
            }
            TypeDefKind::Result(result) => {
                let (ok, error) = (self.optional(result.ok)?, self.optional(result.err)?);
                self.result(ok, error)
            }
            other => return Err(format!("there is no stub with a {}", other.as_str())),
        })
    }
}
