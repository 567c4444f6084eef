//! What differs between two manifests, key by key, and what a running host can do about each difference.

use super::change_class::{ChangeClass, class_of};
use std::collections::{BTreeMap, BTreeSet};
use toml::{Table, Value};

/// A manifest as its author wrote it, by keys. Two that say the same in other words (`1m`, `60s`) differ.
#[derive(Debug, Clone, Default)]
pub struct ManifestTree(Table);

/// A difference between two manifests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestChange {
    /// The key: `service.users.limits.timeout`, `route GET /users: auth`.
    pub key: String,
    /// What a running host can do about it.
    pub class: ChangeClass,
    /// Why it is of that class, as the end of a sentence.
    pub reason: &'static str,
    /// The value before; `None`: it was not written. What may be a secret is not shown.
    pub before: Option<String>,
    /// The value now; `None`: it is not written.
    pub after: Option<String>,
}

/// The keys by which a route is known.
const MATCHING: [&str; 5] = ["method", "path", "prefix", "host", "headers"];
/// The longest value that is shown, in characters.
const LONGEST: usize = 60;
/// Under these words values may be secrets, or lead to them.
const HIDDEN: [&str; 10] =
    ["secrets", "env", "config", "token", "encryption", "auth", "operator", "external_account", "key", "headers"];

impl ManifestTree {
    /// The keys of a manifest; `None` if the text is no TOML.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }

    /// What differs in `next`, in the order of the keys; the routes come last.
    pub fn changes(&self, next: &Self) -> Vec<ManifestChange> {
        let (before, after) = (self.leaves(), next.leaves());
        let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
        let changed = keys.into_iter().filter(|path| before.get(*path) != after.get(*path));
        let changed: Vec<_> = changed.collect();
        let whole = |path: &Vec<String>| path.len() == 2 && is_named(&path[0]);
        let sections: Vec<_> = changed.iter().copied().filter(|path| whole(path)).collect();
        // A section that comes or goes is one change. What it holds is told beside it only if it needs a restart and
        // the section by itself does not.
        let told = |path: &&Vec<String>| {
            let section = sections.iter().find(|section| path.len() > 2 && path[..2] == section[..]);
            section.is_none_or(|section| class(path) == ChangeClass::Restart && class(section) != ChangeClass::Restart)
        };
        let changed = changed.iter().copied().filter(told);
        let mut changes: Vec<_> =
            changed.map(|path| change(path, before.get(path).copied(), after.get(path).copied())).collect();
        let order = |tree: &Self| tree.routes().into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        let (old, new) = (order(self), order(next));
        let both = |names: &[String], other: &[String]| {
            names.iter().filter(|name| other.contains(name)).cloned().collect::<Vec<_>>()
        };
        if both(&old, &new) != both(&new, &old) {
            let (class, reason) = (ChangeClass::Live, "requests that come later are routed so");
            changes.push(ManifestChange {
                key: "the order of routes".into(),
                class,
                reason,
                before: None,
                after: None,
            });
        }
        changes
    }

    /// Whether both manifests say the same at `path`.
    pub fn agrees(&self, other: &Self, path: &[&str]) -> bool {
        self.at(path) == other.at(path)
    }

    /// Whether both manifests say the same of the route with this position in each, and of all that it depends on.
    pub fn agrees_on_route(&self, at: usize, other: &Self, at_other: usize, service: Option<&str>) -> bool {
        let sections = ["gateway", "auth", "limit"];
        self.routes().get(at).map(|(_, table)| *table) == other.routes().get(at_other).map(|(_, table)| *table)
            && sections.iter().all(|section| self.agrees(other, &[section]))
            && service.is_none_or(|service| self.agrees(other, &["service", service]))
    }

    fn at(&self, path: &[&str]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(self.0.get(*first)?, |value, key| value.get(*key))
    }

    /// The routes in their order, each with its name.
    fn routes(&self) -> Vec<(String, &Table)> {
        let routes = self.0.get("route").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_table);
        routes.map(|table| (route_name(table), table)).collect()
    }

    /// The schedules in their order, each with its name.
    fn schedules(&self) -> Vec<(String, &Table)> {
        let all = self.0.get("schedule").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_table);
        let name = |table: &Table| table.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        all.map(|table| (name(table), table)).collect()
    }

    /// Every value with its path. A list is one value. A section without keys is one too: a service may have none.
    fn leaves(&self) -> BTreeMap<Vec<String>, ManifestLeaf<'_>> {
        let mut leaves = BTreeMap::new();
        for (name, value) in self.0.iter().filter(|(name, _)| !LISTED.contains(&name.as_str())) {
            walk(&mut vec![name.clone()], value, &mut leaves);
        }
        for (name, table) in self.schedules() {
            for (key, value) in table.iter().filter(|(key, _)| *key != "name") {
                walk(&mut vec!["schedule".into(), name.clone(), key.clone()], value, &mut leaves);
            }
            leaves.insert(vec!["schedule".into(), name], ManifestLeaf::Section);
        }
        for (name, table) in self.routes() {
            for (key, value) in table.iter().filter(|(key, _)| !MATCHING.contains(&key.as_str())) {
                walk(&mut vec!["route".into(), name.clone(), key.clone()], value, &mut leaves);
            }
            leaves.insert(vec!["route".into(), name], ManifestLeaf::Section);
        }
        leaves
    }
}

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq)]
enum ManifestLeaf<'a> {
    Value(&'a Value),
    /// A section or a route is there.
    Section,
}

/// The named sections, whose coming and going is a change by itself.
const NAMED: [&str; 6] = ["service", "limit", "auth", "topic", "operator", "saga"];
/// The lists of sections, each of which has a name of its own.
const LISTED: [&str; 2] = ["route", "schedule"];

/// Whether sections of this kind come and go as a whole.
fn is_named(kind: &str) -> bool {
    NAMED.contains(&kind) || LISTED.contains(&kind)
}

/// The class of the key at this path.
fn class(path: &[String]) -> ChangeClass {
    class_of(&path.iter().map(String::as_str).collect::<Vec<_>>()).map_or(ChangeClass::Restart, |(class, _)| class)
}

fn walk<'a>(path: &mut Vec<String>, value: &'a Value, leaves: &mut BTreeMap<Vec<String>, ManifestLeaf<'a>>) {
    if path.len() == 2 && NAMED.contains(&path[0].as_str()) {
        leaves.insert(path.clone(), ManifestLeaf::Section);
    }
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                path.push(key.clone());
                walk(path, value, leaves);
                path.pop();
            }
        }
        leaf => drop(leaves.insert(path.clone(), ManifestLeaf::Value(leaf))),
    }
}

fn change(path: &[String], before: Option<ManifestLeaf<'_>>, after: Option<ManifestLeaf<'_>>) -> ManifestChange {
    let keys: Vec<&str> = path.iter().map(String::as_str).collect();
    let unknown = (ChangeClass::Restart, "this version does not know how to change it");
    let (class, reason) = class_of(&keys).unwrap_or(unknown);
    let key = match keys.as_slice() {
        ["route", name] => format!("route {name}"),
        ["route", name, rest @ ..] => format!("route {name}: {}", rest.join(".")),
        ["schedule", name] => format!("schedule {name}"),
        ["schedule", name, rest @ ..] => format!("schedule {name}: {}", rest.join(".")),
        all => all.join("."),
    };
    let hidden = keys.iter().any(|key| HIDDEN.contains(key)) && keys.first() != Some(&"route");
    let show = |leaf: ManifestLeaf<'_>| match leaf {
        ManifestLeaf::Section => "there".to_owned(),
        ManifestLeaf::Value(_) if hidden => "(not shown)".to_owned(),
        ManifestLeaf::Value(value) => shortened(&value.to_string()),
    };
    ManifestChange { key, class, reason, before: before.map(show), after: after.map(show) }
}

fn shortened(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// A route as its author knows it: `GET /users`. Two routes of one manifest may not match the same requests, so their
/// names differ, but for the names of parameters.
fn route_name(table: &Table) -> String {
    let text = |key: &str| table.get(key).and_then(Value::as_str);
    let method = match table.get("method") {
        Some(Value::String(method)) => format!("{method} "),
        Some(Value::Array(methods)) => {
            let methods: Vec<_> = methods.iter().filter_map(Value::as_str).collect();
            format!("{} ", methods.join("|"))
        }
        _ => String::new(),
    };
    let host = text("host").unwrap_or_default();
    let path = text("path").map(str::to_owned).or_else(|| text("prefix").map(|prefix| format!("{prefix}*")));
    let headers = table.get("headers").map(|headers| format!(" [{headers}]")).unwrap_or_default();
    format!("{method}{host}{}{headers}", path.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tree(text: &str) -> ManifestTree {
        ManifestTree::parse(text).unwrap()
    }

    fn told(before: &str, after: &str) -> Vec<(String, ChangeClass)> {
        tree(before).changes(&tree(after)).into_iter().map(|change| (change.key, change.class)).collect()
    }

    #[test]
    fn every_key_has_a_class_and_nothing_changes_from_itself() {
        let every = tree(include_str!("tests/every_key.toml"));
        assert_eq!(every.changes(&every), []);
        let nothing = tree("");
        let unknown: Vec<_> = every
            .leaves()
            .into_keys()
            .filter(|path| class_of(&path.iter().map(String::as_str).collect::<Vec<_>>()).is_none())
            .collect();
        assert!(unknown.is_empty(), "give these keys a class in change_class.rs: {unknown:?}");
        assert_eq!(every.changes(&nothing).len(), nothing.changes(&every).len());
    }

    #[test]
    fn changes_are_named_by_key_and_class() {
        use ChangeClass::{Live, Restart, Swap};
        let before = "[gateway]\nlisten = \"[::1]:1\"\n[service.a]\ncomponent = \"a.wasm\"\n[[route]]\npath = \"/a\"\n\
                      service = \"a\"\n[[route]]\npath = \"/b\"\nservice = \"a\"";
        let after = "[service.a]\ncomponent = \"b.wasm\"\nlimits.timeout = \"1s\"\n[service.b]\n[[route]]\n\
                     path = \"/b\"\nservice = \"b\"\n[[route]]\npath = \"/a\"\nservice = \"a\"";
        let expected = [
            ("gateway.listen", Restart),
            ("route /b: service", Live),
            ("service.a.component", Swap),
            ("service.a.limits.timeout", Live),
            ("service.b", Live),
            ("the order of routes", Live),
        ];
        assert_eq!(told(before, after), expected.map(|(key, class)| (key.to_owned(), class)));
        assert_eq!(told("[[route]]\npath = \"/a\"\n", ""), [("route /a".to_owned(), Live)]);
    }

    #[test]
    fn a_section_that_comes_or_goes_is_one_change_unless_a_part_of_it_needs_a_restart() {
        use ChangeClass::{Live, Restart};
        let plain = "[service.a]\ncomponent = \"a.wasm\"\nreplicas = 2\nlimits.timeout = \"1s\"\n";
        let publisher = format!("{plain}publish = [\"orders\"]\n");
        let route = "[[route]]\npath = \"/a\"\nservice = \"a\"\nbody = \"1MiB\"\n";
        let owned = |rows: &[(&str, ChangeClass)]| -> Vec<(String, ChangeClass)> {
            rows.iter().map(|(key, class)| ((*key).to_owned(), *class)).collect()
        };
        for (section, rows) in [
            (plain, &[("service.a", Live)][..]),
            (&publisher, &[("service.a", Live), ("service.a.publish", Restart)]),
            (route, &[("route /a", Live)]),
            ("[topic.orders]\nretention = \"1d\"", &[("topic.orders", Restart)]),
            ("[saga.buy]\ndeadline = \"1m\"", &[("saga.buy", Restart)]),
            ("[[schedule]]\nname = \"nightly\"\ncron = \"0 3 * * *\"", &[("schedule nightly", Restart)]),
        ] {
            assert_eq!(told("", section), owned(rows), "{section} comes");
            assert_eq!(told(section, ""), owned(rows), "{section} goes");
        }
    }

    #[test]
    fn the_names_of_json_change_with_a_restart_for_topics_and_sagas_read_by_them() {
        let changes = told("", "[gateway]\nnames = \"kebab-case\"\ntimeout = \"9s\"");
        let expected = [("gateway.names", ChangeClass::Restart), ("gateway.timeout", ChangeClass::Live)];
        assert_eq!(changes, expected.map(|(key, class)| (key.to_owned(), class)));
    }

    #[test]
    fn schedules_are_told_apart_by_their_names() {
        let schedule = |name: &str, cron: &str| format!("[[schedule]]\nname = \"{name}\"\ncron = \"{cron}\"\n");
        let before = format!("{}{}", schedule("a", "0 1 * * *"), schedule("b", "0 2 * * *"));
        let after = format!("{}{}", schedule("b", "0 2 * * *"), schedule("a", "0 3 * * *"));
        assert_eq!(told(&before, &after), [("schedule a: cron".to_owned(), ChangeClass::Restart)]);
    }

    #[test]
    fn what_may_be_secret_is_not_shown() {
        let before = tree("[service.a]\nsecrets = { key = \"s3cret\" }\nconfig = { word = \"s3cret\" }");
        let changes = before.changes(&tree("[service.a]"));
        assert_eq!(changes.len(), 2);
        assert!(!format!("{changes:?}").contains("s3cret"), "{changes:?}");
    }

    proptest! {
        #[test]
        fn no_change_leads_to_no_plan_and_the_way_back_has_as_many(
            first in prop::collection::btree_map("[a-c]", 0_u8..3, 0..4),
            second in prop::collection::btree_map("[a-c]", 0_u8..3, 0..4),
        ) {
            let text = |services: &BTreeMap<String, u8>| {
                let one = |(name, value): (&String, &u8)| format!("[service.{name}]\nreplicas = {value}\n");
                services.iter().map(one).collect::<String>()
            };
            let (first, second) = (tree(&text(&first)), tree(&text(&second)));
            prop_assert_eq!(first.changes(&first), []);
            prop_assert_eq!(first.changes(&second).len(), second.changes(&first).len());
        }
    }
}
