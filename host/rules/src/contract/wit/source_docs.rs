//! Takes docs from WIT sources into a contract: a component carries no docs.

use super::interface::{Contract, Function, Interface, InterfaceName};
use super::source_worlds::{is_unstable, world_exports};
use super::type_reader::TypeReader;
use super::types::{Alias, Case, Enum, Field, Flags, Record, Type, Variant};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wit_parser::{AstItem, ParseError, SourceMap, UnresolvedPackage, UnresolvedPackageGroup};

/// Why no docs can be taken from a folder of WIT sources.
#[derive(Debug, thiserror::Error)]
pub enum DocsError {
    /// A file cannot be read, or is not valid WIT.
    #[error("{0}")]
    Sources(String),
    /// The sources describe no interface of the component.
    #[error("it describes none of the interfaces that the component exports; it describes {}", packages.join(", "))]
    Foreign {
        /// The packages in the folder: `shop:users@1.0.0`.
        packages: Vec<String>,
    },
    /// The sources describe another contract under the same name.
    #[error("{}", .differences.join("; "))]
    Differs {
        /// What the component lacks or has otherwise, each with its place in the sources.
        differences: Vec<String>,
    },
}

impl DocsError {
    /// What to do.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Sources(_) => "correct the file",
            Self::Foreign { .. } => "put the WIT files there that the component was built from, or name their folder",
            Self::Differs { .. } => {
                "build the component from these files, or put those there first that it was built from"
            }
        }
    }
}

/// An interface that a component exports, as WIT sources describe it.
#[derive(Debug, Clone)]
pub(crate) struct SourceInterface {
    /// Its name in the sources.
    pub name: InterfaceName,
    /// Its functions. A type of a package that is not read is an opaque resource here.
    pub interface: Interface,
    /// Where each function stands: `wit/users.wit:12:3`.
    pub places: HashMap<String, String>,
    /// The functions behind a feature (`@unstable`), which a component may be built without.
    pub optional: HashSet<String>,
}

/// What WIT sources describe of a component.
#[derive(Debug)]
pub(crate) struct Sources {
    /// The interfaces that it exports.
    pub interfaces: Vec<SourceInterface>,
    /// For each world of the folder's own package that exports something, the interfaces that the component does not,
    /// each with its place. Those of the host, and those without a function that is needed, are left out.
    pub worlds: Vec<Vec<(InterfaceName, String)>>,
}

impl Contract {
    /// Takes the docs of the exported interfaces from the WIT files in `folder`, which are one package, and from the
    /// packages in its folder `deps`; not all that it uses need be there. Interfaces are matched by name and compatible
    /// version; functions, types, fields and cases are matched by name. A type that the sources do not describe, or
    /// that has another shape there than in the component, keeps the docs that it has.
    ///
    /// Returns what it has taken them from.
    ///
    /// # Errors
    /// The files cannot be read, or they describe no interface of this component.
    pub(crate) fn with_docs(&mut self, folder: &Path) -> Result<Sources, DocsError> {
        let group = UnresolvedPackageGroup::parse_dir(folder).map_err(|error| {
            // A parse error says what is wrong, and in which line. Of other errors only the chain of causes does
            // (`{:#}`).
            let parsing = error.downcast_ref::<ParseError>().is_some();
            DocsError::Sources(if parsing { error.to_string() } else { format!("{error:#}") })
        })?;
        // A project has its own world in the folder, and the contract that it implements often in `deps`, as one file
        // or one folder for each package. What does not parse there is not the project's.
        let groups: Vec<_> = std::iter::once(group).chain(dependencies(folder)).collect();
        let (mut documented, mut taken, mut callable) = (HashMap::new(), Vec::new(), HashSet::new());
        let packages: Vec<_> = groups.iter().flat_map(packages_of).collect();
        for (map, package) in &packages {
            let sources = described(package, map);
            let is_callable = |source: &&SourceInterface| {
                source.interface.functions.keys().any(|function| !source.optional.contains(function))
            };
            callable.extend(sources.iter().filter(is_callable).map(|source| source.name.clone()));
            let mut merge = Merge::default();
            for (name, interface) in &self.exports {
                if let Some(source) = sources.iter().find(|source| source.name.compatible(name))
                    && !documented.contains_key(name)
                {
                    documented.insert(name.clone(), merge.interface(interface, &source.interface));
                    taken.push(source.clone());
                }
            }
        }
        if documented.is_empty() {
            let packages = packages.iter().map(|(_, package)| package.name.to_string());
            return Err(DocsError::Foreign { packages: packages.collect() });
        }
        self.exports.extend(documented);
        let own = packages.first().map(|(map, package)| world_exports(package, map)).unwrap_or_default();
        let is_lacking = |name: &InterfaceName| {
            callable.contains(name) && !name.is_of_host() && !self.exports.keys().any(|own| name.compatible(own))
        };
        let lacking = own.into_iter().map(|world| world.into_iter().filter(|(name, _)| is_lacking(name)).collect());
        Ok(Sources { interfaces: taken, worlds: lacking.collect() })
    }
}

/// The packages of a group, with the files that they are from.
fn packages_of(group: &UnresolvedPackageGroup) -> impl Iterator<Item = (&SourceMap, &UnresolvedPackage)> {
    std::iter::once(&group.main).chain(&group.nested).map(|package| (&group.source_map, package))
}

/// The packages in the folder `deps` of `folder`.
fn dependencies(folder: &Path) -> Vec<UnresolvedPackageGroup> {
    let Ok(entries) = fs::read_dir(folder.join("deps")) else { return Vec::new() };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let package = |path: &PathBuf| {
        if path.is_dir() {
            return UnresolvedPackageGroup::parse_dir(path).ok();
        }
        // To open a pipe would wait for its writer.
        let is_source = path.extension().is_some_and(|extension| extension == "wit") && path.is_file();
        let text = is_source.then(|| fs::read_to_string(path).ok()).flatten()?;
        UnresolvedPackageGroup::parse(path, &text).ok()
    };
    paths.iter().filter_map(package).collect()
}

/// The interfaces that a package defines.
fn described(package: &UnresolvedPackage, map: &SourceMap) -> Vec<SourceInterface> {
    // The interfaces that the package only uses are in the same arena.
    let foreign: HashSet<_> = package
        .foreign_deps
        .values()
        .flat_map(|items| items.values())
        .filter_map(|(item, _)| if let AstItem::Interface(id) = item { Some(*id) } else { None })
        .collect();
    let mut types = TypeReader::new(&package.types);
    let own = package.interfaces.iter().filter(|(id, _)| !foreign.contains(id));
    own.filter_map(|(_, interface)| {
        let name = InterfaceName::new(&package.name.interface_id(interface.name.as_ref()?));
        let places = interface.functions.iter().map(|(name, own)| (name.clone(), map.render_location(own.span)));
        let unstable = interface.functions.iter().filter(|(_, own)| is_unstable(&own.stability));
        let optional = unstable.map(|(name, _)| name.clone()).collect();
        Some(SourceInterface { name, places: places.collect(), optional, interface: types.interface(interface) })
    })
    .collect()
}

/// Copies docs from the sources' types to the component's types. A type that was shared stays shared.
#[derive(Default)]
struct Merge {
    /// The merged types, by the addresses of the component's and the source's definition. The definitions outlive the
    /// merge, so no address is reused for another one.
    made: HashMap<(usize, usize), Type>,
}

impl Merge {
    fn interface(&mut self, own: &Interface, source: &Interface) -> Interface {
        let functions = own.functions.iter().map(|(name, function)| {
            let function = match source.functions.get(name) {
                Some(source) => self.function(function, source),
                None => function.clone(),
            };
            (name.clone(), function)
        });
        Interface { docs: docs(&own.docs, &source.docs), functions: functions.collect() }
    }

    fn function(&mut self, own: &Function, source: &Function) -> Function {
        let mut function = own.clone();
        function.docs = docs(&own.docs, &source.docs);
        for param in &mut function.params {
            if let Some(source) = source.params.iter().find(|source| source.name == param.name) {
                param.ty = self.ty(&param.ty, &source.ty);
            }
        }
        function.result = own.result.as_ref().map(|ty| self.maybe(ty, source.result.as_ref()));
        function
    }

    fn ty(&mut self, own: &Type, source: &Type) -> Type {
        match (own, source) {
            (Type::List(a), Type::List(b)) => Type::List(self.shared(a, b)),
            (Type::FixedList(a, length), Type::FixedList(b, _)) => Type::FixedList(self.shared(a, b), *length),
            (Type::Map(a, x), Type::Map(b, y)) => Type::Map(self.shared(a, b), self.shared(x, y)),
            (Type::Option(a), Type::Option(b)) => Type::Option(self.shared(a, b)),
            (Type::Result { ok: a, err: x }, Type::Result { ok: b, err: y }) => {
                Type::Result { ok: self.optional(a.as_ref(), b.as_ref()), err: self.optional(x.as_ref(), y.as_ref()) }
            }
            (Type::Tuple(a), Type::Tuple(b)) if a.len() == b.len() => {
                Type::Tuple(a.iter().zip(b.iter()).map(|(a, b)| self.ty(a, b)).collect())
            }
            (Type::Stream(a), Type::Stream(b)) => Type::Stream(self.optional(a.as_ref(), b.as_ref())),
            (Type::Future(a), Type::Future(b)) => Type::Future(self.optional(a.as_ref(), b.as_ref())),
            (Type::Record(a), Type::Record(b)) if a.name == b.name => {
                self.once(address(a), address(b), |merge| Type::Record(Arc::new(merge.record(a, b))))
            }
            (Type::Variant(a), Type::Variant(b)) if a.name == b.name => {
                self.once(address(a), address(b), |merge| Type::Variant(Arc::new(merge.variant(a, b))))
            }
            (Type::Enum(a), Type::Enum(b)) if a.name == b.name => {
                self.once(address(a), address(b), |merge| Type::Enum(Arc::new(merge.enumeration(a, b))))
            }
            (Type::Flags(a), Type::Flags(b)) if a.name == b.name => self.once(address(a), address(b), |_| {
                Type::Flags(Arc::new(Flags {
                    name: a.name.clone(),
                    docs: docs(&a.docs, &b.docs),
                    flags: a.flags.clone(),
                }))
            }),
            (Type::Alias(a), Type::Alias(b)) if a.name == b.name => self.once(address(a), address(b), |merge| {
                let ty = merge.ty(&a.ty, &b.ty);
                Type::Alias(Arc::new(Alias { name: a.name.clone(), docs: docs(&a.docs, &b.docs), ty }))
            }),
            // If only the source has an alias, compare with the type behind it; if only the component has one, keep it.
            (own, Type::Alias(b)) => self.ty(own, &b.ty),
            (Type::Alias(a), source) => {
                let ty = self.ty(&a.ty, source);
                Type::Alias(Arc::new(Alias { name: a.name.clone(), docs: a.docs.clone(), ty }))
            }
            // Scalars and resources carry no docs; two types of different shape are not the same thing.
            (own, _) => own.clone(),
        }
    }

    fn record(&mut self, own: &Record, source: &Record) -> Record {
        let fields = own.fields.iter().map(|a| {
            let b = source.fields.iter().find(|b| b.name == a.name);
            let ty = self.maybe(&a.ty, b.map(|b| &b.ty));
            Field { name: a.name.clone(), docs: docs(&a.docs, b.map_or(&None, |b| &b.docs)), ty }
        });
        let fields = fields.collect();
        Record { name: own.name.clone(), docs: docs(&own.docs, &source.docs), fields }
    }

    fn variant(&mut self, own: &Variant, source: &Variant) -> Variant {
        let cases = self.cases(&own.cases, &source.cases);
        Variant { name: own.name.clone(), docs: docs(&own.docs, &source.docs), cases }
    }

    fn enumeration(&mut self, own: &Enum, source: &Enum) -> Enum {
        let cases = self.cases(&own.cases, &source.cases);
        Enum { name: own.name.clone(), docs: docs(&own.docs, &source.docs), cases }
    }

    fn cases(&mut self, own: &[Case], source: &[Case]) -> Vec<Case> {
        let case = |a: &Case| {
            let b = source.iter().find(|b| b.name == a.name);
            let ty = a.ty.as_ref().map(|ty| self.maybe(ty, b.and_then(|b| b.ty.as_ref())));
            Case { name: a.name.clone(), docs: docs(&a.docs, b.map_or(&None, |b| &b.docs)), ty }
        };
        own.iter().map(case).collect()
    }

    fn once(&mut self, own: usize, source: usize, make: impl FnOnce(&mut Self) -> Type) -> Type {
        if let Some(made) = self.made.get(&(own, source)) {
            return made.clone();
        }
        let made = make(self);
        self.made.insert((own, source), made.clone());
        made
    }

    fn shared(&mut self, own: &Arc<Type>, source: &Arc<Type>) -> Arc<Type> {
        Arc::new(self.ty(own, source))
    }

    fn optional(&mut self, own: Option<&Arc<Type>>, source: Option<&Arc<Type>>) -> Option<Arc<Type>> {
        own.map(|own| Arc::new(self.maybe(own, source.map(Arc::as_ref))))
    }

    fn maybe(&mut self, own: &Type, source: Option<&Type>) -> Type {
        source.map_or_else(|| own.clone(), |source| self.ty(own, source))
    }
}

fn address<T>(shared: &Arc<T>) -> usize {
    Arc::as_ptr(shared).addr()
}

fn docs(own: &Option<String>, source: &Option<String>) -> Option<String> {
    source.clone().or_else(|| own.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{testing, unmet};

    const SHOP: &str = "
        package shop:orders@1.2.0;
        /// Stock.
        interface stock {
            /// A piece.
            record piece {
                /// Grams.
                weight: u32,
            }
        }
        /// Orders.
        interface orders {
            use stock.{piece};
            /// By time.
            type order-id = u64;
            /// What is wanted.
            record order {
                /// Which one.
                id: order-id,
                pieces: list<piece>,
                side: side,
                may: may,
            }
            /// Which side.
            enum side {
                /// The heart's.
                left,
                right,
            }
            /// What is allowed.
            flags may { read }
            /// Why not.
            variant error {
                /// There is none.
                gone,
                /// Too late.
                late(order),
            }
            /// Reads one.
            get: async func(id: order-id) -> result<order, error>;
            put: func(order: order);
        }
        world w { export orders; }
    ";

    /// The component of the sources, without their docs.
    fn bare() -> Contract {
        let lines = SHOP.lines().filter(|line| !line.trim_start().starts_with("///"));
        testing::contract(&lines.collect::<Vec<_>>().join("\n"))
    }

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    fn orders(contract: &Contract) -> &Interface {
        &contract.exports[&InterfaceName::new("shop:orders/orders@1.2.0")]
    }

    fn order(ty: &Type) -> &Arc<Record> {
        let Type::Record(order) = ty.resolved() else { panic!("{ty}") };
        order
    }

    #[test]
    fn interfaces_functions_types_fields_and_cases_get_their_docs() {
        let mut contract = bare();
        assert_eq!(orders(&contract).docs, None);
        contract.with_docs(folder(&[("orders.wit", SHOP)]).path()).unwrap();
        let orders = orders(&contract);
        assert_eq!(orders.docs.as_deref(), Some("Orders."));
        let get = &orders.functions["get"];
        assert_eq!(get.docs.as_deref(), Some("Reads one."));
        assert_eq!(orders.functions["put"].docs, None);
        let Type::Alias(id) = &get.params[0].ty else { panic!("{get}") };
        assert_eq!(id.docs.as_deref(), Some("By time."));
        let Some(Type::Result { ok: Some(ok), err: Some(err) }) = &get.result else { panic!("{get}") };
        let Type::Variant(error) = &**err else { panic!("{err}") };
        assert_eq!(error.docs.as_deref(), Some("Why not."));
        assert_eq!(error.cases[1].docs.as_deref(), Some("Too late."));
        let order = order(ok);
        assert_eq!(order.docs.as_deref(), Some("What is wanted."));
        assert_eq!(order.fields[0].docs.as_deref(), Some("Which one."));
        assert_eq!(order.fields[1].docs, None);
        let Type::List(piece) = &order.fields[1].ty else { panic!() };
        let Type::Record(piece) = &**piece else { panic!() };
        assert_eq!((piece.docs.as_deref(), piece.fields[0].docs.as_deref()), (Some("A piece."), Some("Grams.")));
        let Type::Enum(side) = &order.fields[2].ty else { panic!() };
        assert_eq!((side.docs.as_deref(), side.cases[0].docs.as_deref()), (Some("Which side."), Some("The heart's.")));
        let Type::Flags(may) = &order.fields[3].ty else { panic!() };
        assert_eq!(may.docs.as_deref(), Some("What is allowed."));
    }

    #[test]
    fn a_type_that_is_used_twice_stays_one_shared_type() {
        let mut contract = bare();
        contract.with_docs(folder(&[("orders.wit", SHOP)]).path()).unwrap();
        let functions = &orders(&contract).functions;
        let Some(Type::Result { ok: Some(ok), err: Some(err) }) = &functions["get"].result else { panic!() };
        let Type::Variant(error) = &**err else { panic!() };
        let put = order(&functions["put"].params[0].ty);
        assert!(Arc::ptr_eq(put, order(ok)));
        assert!(Arc::ptr_eq(put, order(error.cases[1].ty.as_ref().unwrap())));
    }

    #[test]
    fn docs_change_no_type() {
        let mut contract = bare();
        contract.with_docs(folder(&[("orders.wit", SHOP)]).path()).unwrap();
        let name = InterfaceName::new("shop:orders/orders@1.2.0");
        assert_eq!(unmet(orders(&bare()), &name, &contract), []);
        let texts =
            |contract: &Contract| orders(contract).functions.values().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(texts(&bare()), texts(&contract));
    }

    #[test]
    fn sources_of_a_compatible_version_may_differ_and_use_absent_packages() {
        let mut contract = bare();
        let sources = "
            package shop:orders@1.0.0;
            interface orders {
                use far:away/things@3.0.0.{thing};
                /// Whatever it is.
                record order {
                    /// Old words.
                    id: string,
                    thing: thing,
                }
                /// It was a record.
                record side { x: u8 }
                /// Reads.
                get: func(id: u64) -> result<order, thing>;
                /// Forgotten since.
                lost: func(thing: thing);
            }";
        contract.with_docs(folder(&[("a.wit", sources), ("notes.txt", "not WIT")]).path()).unwrap();
        let functions = &orders(&contract).functions;
        assert_eq!(functions["get"].docs.as_deref(), Some("Reads."));
        assert!(!functions.contains_key("lost"));
        let Some(Type::Result { ok: Some(ok), .. }) = &functions["get"].result else { panic!() };
        let order = order(ok);
        assert_eq!(order.docs.as_deref(), Some("Whatever it is."));
        assert_eq!(order.fields[0].docs.as_deref(), Some("Old words."));
        assert_eq!(order.fields[0].ty.to_string(), "order-id");
        let Type::Enum(side) = &order.fields[2].ty else { panic!() };
        assert_eq!(side.docs, None);
    }

    #[test]
    fn a_package_may_be_spread_over_files() {
        let mut contract = bare();
        let files = [
            ("a.wit", "package shop:orders@1.2.0;"),
            ("b.wit", "/// Orders.\ninterface orders {\n /// Puts.\n put: func(); }"),
        ];
        contract.with_docs(folder(&files).path()).unwrap();
        assert_eq!(orders(&contract).functions["put"].docs.as_deref(), Some("Puts."));
    }

    #[test]
    fn a_contract_in_the_folder_of_dependencies_is_found() {
        let world = [("world.wit", "package my:service; world w { export shop:orders/orders@1.2.0; }")];
        for place in ["deps/orders.wit", "deps/orders/orders.wit"] {
            let mut contract = bare();
            let folder = folder(&world);
            let file = folder.path().join(place);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, SHOP).unwrap();
            // What does not parse, or is no WIT, is not the project's.
            std::fs::write(folder.path().join("deps/broken.wit"), "package").unwrap();
            std::fs::write(folder.path().join("deps/README.md"), "text").unwrap();
            contract.with_docs(folder.path()).unwrap();
            assert_eq!(orders(&contract).functions["get"].docs.as_deref(), Some("Reads one."), "{place}");
        }
    }

    #[test]
    fn sources_that_describe_none_of_the_interfaces_are_refused() {
        let error = |files: &[(&str, &str)]| bare().with_docs(folder(files).path()).unwrap_err().to_string();
        assert_eq!(
            error(&[("a.wit", "package shop:orders@2.0.0; interface orders { get: func(); }")]),
            "it describes none of the interfaces that the component exports; it describes shop:orders@2.0.0"
        );
        assert!(error(&[("a.wit", "package shop:users; interface users {}")]).ends_with("it describes shop:users"));
        let broken = error(&[("a.wit", "package a:b;\ninterface x {\n  f: fun();\n}")]);
        assert!(broken.contains("a.wit:3:6"), "{broken}");
        assert!(error(&[]).contains("no `package` header"));
        let absent = bare().with_docs(Path::new("no/such/folder")).unwrap_err().to_string();
        assert!(absent.contains("no/such/folder"), "{absent}");
    }
}
