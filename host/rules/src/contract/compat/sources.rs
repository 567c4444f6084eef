//! Whether a component is the one that the WIT files of its service describe.

use super::unmet::{Unmet, unmet};
use crate::contract::wit::{Contract, DocsError, Function, SourceInterface, Sources, Type};
use std::path::Path;

/// How many differences are named: who sees these looks at the files.
const MOST_NAMED: usize = 3;

/// How far a component is held to the WIT files of its service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HeldTo {
    /// To all that they describe: a component that is new here.
    #[default]
    Files,
    /// To nothing: one that has served here, perhaps before the files went on. What goes by its name gets its docs.
    Names,
}

impl HeldTo {
    /// The contract with the docs of the WIT files in `folder`; and, if the component is held by names alone, what a
    /// new one would be refused for.
    ///
    /// A component has what the files describe if it exports the interfaces of a world of the folder's own package, and
    /// of each interface that it exports has each function, with the same types. It may have more, and it may lack what
    /// is behind a feature (`@unstable`). A function with a resource, or with a type of another package than its
    /// interface's, is compared by its name alone.
    ///
    /// # Errors
    /// [`DocsError`], for a component that is new.
    pub fn describe(self, contract: &Contract, folder: &Path) -> Result<(Contract, Option<DocsError>), DocsError> {
        let mut described = contract.clone();
        let found = described.with_docs(folder).and_then(|sources| compare(&sources, contract));
        match (found, self) {
            (Ok(()), _) => Ok((described, None)),
            (Err(error), Self::Names) => Ok((described, Some(error))),
            (Err(error), Self::Files) => Err(error),
        }
    }
}

/// Whether the component has what its sources describe.
fn compare(sources: &Sources, contract: &Contract) -> Result<(), DocsError> {
    // It was built from one of the worlds: that one of which it lacks the least.
    let lacking = sources.worlds.iter().min_by_key(|lacking| lacking.len()).into_iter().flatten();
    let lacking = lacking.map(|(name, place)| format!("it exports no interface {name}, as {place} says"));
    let differences = sources.interfaces.iter().flat_map(|source| differences(source, contract));
    let mut differences: Vec<String> = lacking.chain(differences).collect();
    if differences.is_empty() {
        return Ok(());
    }
    let more = differences.len().saturating_sub(MOST_NAMED);
    differences.truncate(MOST_NAMED);
    differences.extend((more > 0).then(|| format!("and {more} more")));
    Err(DocsError::Differs { differences })
}

fn differences(source: &SourceInterface, contract: &Contract) -> Vec<String> {
    let SourceInterface { name, interface, places, optional } = source;
    let is_known = |function: &str| interface.functions.get(function).is_some_and(|function| !has_unread(function));
    let differences = unmet(interface, name, contract).into_iter().filter_map(|unmet| {
        let function = match &unmet {
            Unmet::Function { function, .. } if !optional.contains(function) => function,
            Unmet::Signature { function, .. } if is_known(function) => function,
            _ => return None,
        };
        let place = places.get(function).map_or("", String::as_str);
        Some(format!("{unmet}, which {place} describes"))
    });
    differences.collect()
}

/// Whether a type of the function is opaque in its sources: each package is read by itself.
fn has_unread(function: &Function) -> bool {
    let mut types = function.params.iter().map(|param| &param.ty).chain(&function.result);
    types.any(|ty| ty.any(&|ty| matches!(ty, Type::Resource(_))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::testing;
    use std::fs;

    const SHOP: &str = "package shop:stock@1.2.0; interface stock {
        record piece { weight: u32 }
        find: async func(id: u64) -> option<piece>;
        count: func() -> u32;
    }";

    /// What the component of `component` lacks of the files `sources`.
    fn lacking(component: &str, sources: &[&str]) -> String {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("deps")).unwrap();
        for (at, text) in sources.iter().enumerate() {
            fs::write(folder.path().join(if at == 0 { "own.wit" } else { "deps/other.wit" }), text).unwrap();
        }
        let contract = testing::contract(&format!("{component} world w {{ export stock; }}"));
        let found = HeldTo::Files.describe(&contract, folder.path());
        let lacking = found.err().map_or_else(String::new, |error| error.to_string());
        let (_, told) = HeldTo::Names.describe(&contract, folder.path()).unwrap();
        assert_eq!(told.map_or_else(String::new, |error| error.to_string()), lacking);
        lacking
    }

    #[test]
    fn a_component_has_each_function_of_its_files_with_the_same_types() {
        assert_eq!(lacking(SHOP, &[SHOP]), "");
        let without = lacking(&SHOP.replace("count: func() -> u32;", ""), &[SHOP]);
        assert!(without.starts_with("shop:stock/stock@1.2.0 has no function `count`, which "), "{without}");
        assert!(without.ends_with("own.wit:4:9 describes"), "{without}");
        let other = lacking(&SHOP.replace("weight: u32", "weight: u64"), &[SHOP]);
        assert!(
            other.contains("function `find` of shop:stock/stock@1.2.0 differs: ") && other.contains("u64"),
            "{other}"
        );
        assert!(other.ends_with("own.wit:3:9 describes"), "{other}");
        // A contract in `deps`, as a service has that implements one.
        let world = "package my:shop; world service { export shop:stock/stock@1.2.0; }";
        let deps = lacking(&SHOP.replace("-> u32", "-> u16"), &[world, SHOP]);
        assert!(deps.contains("function `count`") && deps.ends_with("other.wit:4:9 describes"), "{deps}");
    }

    #[test]
    fn a_component_may_have_more_than_its_files_and_types_that_they_do_not_have() {
        let more = SHOP.replace("count:", "sum: func() -> u32; count:");
        assert_eq!(lacking(&more, &[SHOP]), "");
        assert_eq!(lacking(SHOP, &[&SHOP.replace("async func", "func")]), "");
        assert_eq!(lacking(&more.replace("1.2.0", "1.3.0"), &[SHOP]), "");
        let foreign = "package shop:stock@1.2.0; interface stock {
            use far:away/things@1.0.0.{thing}; find: func(id: thing) -> u8; lost: func(id: thing); }";
        let lost = lacking(SHOP, &[foreign]);
        assert!(lost.contains("no function `lost`") && !lost.contains("find"), "{lost}");
    }

    #[test]
    fn a_component_exports_the_interfaces_of_one_of_the_worlds() {
        let own = |worlds: &str| {
            format!("{SHOP} interface admin {{ purge: func(); }} interface kinds {{ type id = u64; }} {worlds}")
        };
        let whole = own("world service { export stock;\n export admin; export kinds; }");
        let lost = lacking(SHOP, &[&whole]);
        assert!(lost.starts_with("it exports no interface shop:stock/admin@1.2.0, as "), "{lost}");
        assert!(lost.ends_with("own.wit:6:9 says"), "{lost}");
        // One world is enough, and one without exports is for callers.
        for worlds in [
            "world service { export stock; export admin; } world small { export stock; }",
            "world imports { import admin; } world small { export stock; }",
            "world service { export stock; @unstable(feature = next) export admin; }",
            "world service { export stock; export kinds; export far:away/things; }",
            "world imports { import admin; }",
        ] {
            assert_eq!(lacking(SHOP, &[&own(worlds)]), "", "{worlds}");
        }
        let callers = "world imports { import admin; } world all { export admin; include part; } \
                       world part { export stock; }";
        assert_eq!(lacking(SHOP, &[&own(callers)]), "", "`part` is a world, too");
        let included = own("world all { include part; export stock; } world part { export admin; export stock; }");
        assert!(lacking(SHOP, &[&included]).contains("shop:stock/admin@1.2.0"));
        // The contract is in `deps`.
        let world = "package my:shop; world service { export shop:stock/stock@1.2.0; export shop:stock/admin@1.2.0; }";
        assert!(lacking(SHOP, &[world, &own("")]).contains("no interface shop:stock/admin@1.2.0"));
    }

    #[test]
    fn a_function_with_a_type_of_another_package_goes_by_its_name() {
        let own = "package shop:stock@1.2.0; interface stock {
            use base:units/mass@1.0.0.{grams}; find: func(weight: grams); count: func() -> u32; }";
        let units = "package base:units@1.0.0; interface mass { type grams = u8; }";
        assert_eq!(lacking(SHOP, &[own, units]), "", "`find` has an id, and no weight");
        assert!(lacking(SHOP, &[&own.replace("u32", "u16"), units]).contains("function `count`"));
    }

    #[test]
    fn a_component_may_be_built_without_what_is_behind_a_feature() {
        let gated = |function: &str| SHOP.replace("count:", &format!("@unstable(feature = next) {function} count:"));
        assert_eq!(lacking(SHOP, &[&gated("move: func();")]), "");
        // With the feature, it has the function as it is described.
        let built = SHOP.replace("count:", "move: func() -> u8; count:");
        assert_eq!(lacking(&built, &[&gated("move: func() -> u8;")]), "");
        assert!(lacking(&built, &[&gated("move: func() -> u16;")]).contains("function `move`"));
        let since = gated("move: func();").replace("@unstable(feature = next)", "@since(version = 1.1.0)");
        assert!(lacking(SHOP, &[&since]).contains("no function `move`"));
    }

    #[test]
    fn by_names_nothing_is_refused_and_what_is_there_has_its_docs() {
        let more = SHOP.replace("count:", "/// Counts.\n count:").replace("find:", "gone: func(); find:");
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("own.wit"), more).unwrap();
        let contract = testing::contract(&format!("{SHOP} world w {{ export stock; }}"));
        let (described, lacks) = HeldTo::Names.describe(&contract, folder.path()).unwrap();
        let lacks = lacks.unwrap();
        assert!(lacks.to_string().contains("`gone`") && lacks.help().contains("build the component"), "{lacks}");
        let count = described.exports.values().find_map(|interface| interface.functions.get("count")).unwrap();
        assert_eq!(count.docs.as_deref(), Some("Counts."));
        for (text, says, help) in [
            ("package far:away; interface stock { }", "describes none of", "name their folder"),
            ("package shop:stock@1.2.0; interface", "own.wit:1:", "correct the file"),
        ] {
            fs::write(folder.path().join("own.wit"), text).unwrap();
            let (described, lacks) = HeldTo::Names.describe(&contract, folder.path()).unwrap();
            let lacks = lacks.unwrap();
            assert!(lacks.to_string().contains(says) && lacks.help().contains(help), "{lacks} ({})", lacks.help());
            assert_eq!(described.exports.len(), contract.exports.len());
            assert!(HeldTo::Files.describe(&contract, folder.path()).is_err());
        }
    }

    #[test]
    fn few_of_many_differences_are_named() {
        let many = (0..9).map(|at| format!("f{at}: func();")).collect::<String>();
        let lost = lacking(SHOP, &[&SHOP.replace("count:", &format!("{many} count:"))]);
        assert!(lost.matches("has no function").count() == 3 && lost.ends_with("; and 6 more"), "{lost}");
    }
}
