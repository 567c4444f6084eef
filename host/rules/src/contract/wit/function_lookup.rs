//! Finds the function that a text of the manifest names.

use super::interface::{Contract, Function, FunctionName, Interface, InterfaceName};

/// Why a text does not name exactly one function of a component.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// The component exports no function of this name.
    #[error("the component exports no function `{text}`")]
    Unknown {
        /// The text, as it was written.
        text: String,
        /// Every function that is exported, each by the shortest name that is unique.
        known: Vec<String>,
    },
    /// Several interfaces have a function of this name.
    #[error("several interfaces have a function `{text}`")]
    Ambiguous {
        /// The text, as it was written.
        text: String,
        /// The longer names that would be unique.
        known: Vec<String>,
    },
}

impl LookupError {
    /// Which names to write instead. They stand after `prefix`, which the place in the manifest wants: nothing for a
    /// function of the section's own service, `links/` for one of the service `links`.
    pub fn help(&self, prefix: &str) -> String {
        let (Self::Unknown { known, .. } | Self::Ambiguous { known, .. }) = self;
        let known: Vec<_> = known.iter().map(|name| format!("`{prefix}{name}`")).collect();
        match self {
            Self::Unknown { .. } if known.is_empty() => "the component exports no function".to_owned(),
            Self::Unknown { .. } => format!("the functions that it exports: {}", known.join(", ")),
            Self::Ambiguous { .. } => format!("write one of {}", known.join(", ")),
        }
    }
}

impl Contract {
    /// The exported function that `text` names: `get`, or with its interface `products#get` or
    /// `shop:products/products#get`. A name with a version is answered as an import of that version is: by exactly this
    /// version, else by the newest compatible one.
    ///
    /// # Errors
    /// [`LookupError`] if there is no such function, or more than one.
    pub fn lookup(&self, text: &str) -> Result<(FunctionName, &Function), LookupError> {
        let (wanted, name) = text.rsplit_once('#').map_or((None, text), |(interface, name)| (Some(interface), name));
        let versioned = wanted.map(InterfaceName::new).filter(|wanted| wanted.version.is_some());
        let versioned = versioned.map(|wanted| self.export(&wanted).map(|(interface, _)| interface));
        let mut found = self.exports.iter().filter_map(|(interface, described)| {
            let meant = match versioned {
                Some(answering) => answering == Some(interface),
                None => wanted.is_none_or(|wanted| wanted == interface.path || wanted == interface.short()),
            };
            let function = described.functions.get(name).filter(|_| meant)?;
            Some((FunctionName { interface: interface.clone(), function: name.to_owned() }, function))
        });
        let text = text.to_owned();
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one),
            (None, _) => Err(LookupError::Unknown { text, known: self.shortest_names(|_, _| true) }),
            (Some(_), Some(_)) => {
                Err(LookupError::Ambiguous { text, known: self.shortest_names(|_, function| function == name) })
            }
        }
    }

    /// The names of the functions for which `wanted` holds, each as short as it can be.
    fn shortest_names(&self, wanted: impl Fn(&InterfaceName, &str) -> bool) -> Vec<String> {
        let functions = |(name, interface): (&InterfaceName, &Interface)| {
            interface.functions.keys().map(|function| (name.clone(), function.clone())).collect::<Vec<_>>()
        };
        let all: Vec<_> = self.exports.iter().flat_map(functions).collect();
        let shortest = |(interface, function): &(InterfaceName, String)| {
            let unique = all.iter().filter(|(_, other)| other == function).count() == 1;
            let short =
                all.iter().filter(|(other, _)| other.short() == interface.short()).all(|(other, _)| other == interface);
            match (unique, short) {
                (true, _) => function.clone(),
                (false, true) => format!("{}#{function}", interface.short()),
                (false, false) => format!("{interface}#{function}"),
            }
        };
        all.iter().filter(|(interface, function)| wanted(interface, function)).map(shortest).collect()
    }
}

impl InterfaceName {
    /// The last part of the path: `products` of `shop:products/products@1.0.0`.
    pub fn short(&self) -> &str {
        self.path.rsplit_once('/').map_or(&self.path, |(_, short)| short)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn contract(exports: &[(&str, &[&str])]) -> Contract {
        let function = |name: &&str| {
            let function =
                Function { name: (*name).into(), docs: None, asynchronous: true, params: Vec::new(), result: None };
            ((*name).to_owned(), function)
        };
        let exports = exports.iter().map(|(name, functions)| {
            let functions: BTreeMap<_, _> = functions.iter().map(function).collect();
            (InterfaceName::new(name), Interface { docs: None, functions })
        });
        Contract { exports: exports.collect(), ..Contract::default() }
    }

    #[test]
    fn a_function_is_found_by_each_of_its_names() {
        let contract = contract(&[("a:b/one@1.0.0", &["get", "put"]), ("a:b/two@1.0.0", &["get"])]);
        for text in ["put", "one#put", "a:b/one#put", "a:b/one@1.0.0#put"] {
            assert_eq!(contract.lookup(text).unwrap().0.to_string(), "a:b/one@1.0.0#put", "{text}");
        }
        assert_eq!(contract.lookup("two#get").unwrap().0.interface.short(), "two");
    }

    /// Otherwise a host could not start with a component that it accepts in a swap.
    #[test]
    fn a_name_with_a_version_is_answered_as_an_import_is() {
        let contract =
            contract(&[("a:b/one@1.1.0", &["get"]), ("a:b/one@1.2.0", &["get"]), ("a:b/one@2.0.0", &["get"])]);
        for (text, expected) in [
            ("a:b/one@1.1.0#get", Some("a:b/one@1.1.0#get")),
            ("a:b/one@1.0.0#get", Some("a:b/one@1.2.0#get")),
            ("a:b/one@2.0.0#get", Some("a:b/one@2.0.0#get")),
            ("a:b/one@3.0.0#get", None),
            ("a:b/two@1.1.0#get", None),
        ] {
            let found = contract.lookup(text).ok().map(|(name, _)| name.to_string());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
        for (short, prefix) in [("get", ""), ("one#get", "links/"), ("a:b/one#get", "links/")] {
            let error = contract.lookup(short).unwrap_err();
            let names = ["1.1.0", "1.2.0", "2.0.0"].map(|version| format!("`{prefix}a:b/one@{version}#get`"));
            assert_eq!(error.help(prefix), format!("write one of {}", names.join(", ")));
        }
    }

    #[test]
    fn a_text_that_names_no_function_or_several_is_refused_with_the_names_that_would_do() {
        let contract = contract(&[("a:b/one@1.0.0", &["get", "put"]), ("a:b/two@1.0.0", &["get"])]);
        let known = vec!["one#get".to_owned(), "two#get".to_owned()];
        assert_eq!(contract.lookup("get").unwrap_err(), LookupError::Ambiguous { text: "get".into(), known });
        let known = ["one#get", "put", "two#get"].map(str::to_owned).to_vec();
        for text in ["pet", "three#get", "two#put", "", "#get"] {
            let known = known.clone();
            assert_eq!(contract.lookup(text).unwrap_err(), LookupError::Unknown { text: text.into(), known });
        }
    }
}
