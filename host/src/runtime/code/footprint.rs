//! What an instance of a component takes from the start, before any of its code runs.

use wasmparser::{
    ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind, ComponentTypeRef,
    CompositeInnerType, Instance, MemoryType, Parser, Payload, Result, TypeRef,
};

/// The logarithm of the bytes of one page of memory, unless the memory says otherwise (core specification, 4.2.8).
const PAGE: u32 = 16;

/// What one instance takes from the start. An item that cannot be followed (a module that is imported, or an alias of
/// something outside) counts as nothing, so the true numbers may be larger but never smaller.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Footprint {
    /// The memories with which it starts, together, in bytes.
    pub(super) memory: u64,
    /// Whether its code may use a heap of the garbage collector: structs, arrays or exceptions. The engine takes one
    /// more memory of its pool for that heap.
    pub(super) collected: bool,
}

impl Footprint {
    /// The footprint of the component in `bytes`. Of bytes that are no valid component it is that of the valid part.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut reader = FootprintReader::default();
        for payload in Parser::new(0).parse_all(bytes) {
            if payload.and_then(|payload| reader.read(payload)).is_err() {
                break;
            }
        }
        Self { memory: reader.whole, collected: reader.collected }
    }
}

/// Walks through a component's sections.
#[derive(Default)]
struct FootprintReader {
    /// The modules and components that were begun and have not ended, the outermost first.
    open: Vec<Frame>,
    collected: bool,
    /// The memory of the outermost component that has ended.
    whole: u64,
}

/// A module or a component that is being read.
#[derive(Default)]
struct Frame {
    /// The bytes of its own memories, and of the memories of what it instantiates.
    memory: u64,
    is_module: bool,
    /// The bytes that an instance of each module and each component takes, by its index in this component.
    modules: Vec<u64>,
    components: Vec<u64>,
}

impl FootprintReader {
    fn read(&mut self, payload: Payload<'_>) -> Result<()> {
        match payload {
            Payload::Version { encoding, .. } => {
                let is_module = encoding == wasmparser::Encoding::Module;
                self.open.push(Frame { is_module, ..Frame::default() });
            }
            Payload::End(_) => self.end(),
            other => {
                let collected = self.open.last_mut().map(|frame| frame.read(other)).transpose()?;
                self.collected |= collected.unwrap_or_default();
            }
        }
        Ok(())
    }

    fn end(&mut self) {
        let Some(ended) = self.open.pop() else { return };
        match self.open.last_mut() {
            Some(outer) if ended.is_module => outer.modules.push(ended.memory),
            Some(outer) => outer.components.push(ended.memory),
            None => self.whole = ended.memory,
        }
    }
}

impl Frame {
    /// Reads one section. Returns whether it shows that the code may use a heap of the garbage collector.
    fn read(&mut self, section: Payload<'_>) -> Result<bool> {
        match section {
            Payload::TypeSection(groups) => {
                for group in groups {
                    if group?.types().any(|ty| {
                        matches!(ty.composite_type.inner, CompositeInnerType::Struct(_) | CompositeInnerType::Array(_))
                    }) {
                        return Ok(true);
                    }
                }
            }
            Payload::TagSection(tags) => return Ok(tags.count() > 0),
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    if matches!(import?.ty, TypeRef::Tag(_)) {
                        return Ok(true);
                    }
                }
            }
            Payload::MemorySection(memories) => {
                for memory in memories {
                    self.memory = self.memory.saturating_add(bytes(memory?));
                }
            }
            Payload::InstanceSection(instances) => {
                for instance in instances {
                    if let Instance::Instantiate { module_index, .. } = instance? {
                        self.memory = self.memory.saturating_add(at(&self.modules, module_index));
                    }
                }
            }
            Payload::ComponentInstanceSection(instances) => {
                for instance in instances {
                    if let ComponentInstance::Instantiate { component_index, .. } = instance? {
                        self.memory = self.memory.saturating_add(at(&self.components, component_index));
                    }
                }
            }
            other => self.index(other)?,
        }
        Ok(false)
    }

    /// Reads a section that gives further indices to modules and components: imports, aliases and exports.
    fn index(&mut self, section: Payload<'_>) -> Result<()> {
        match section {
            Payload::ComponentImportSection(imports) => {
                for import in imports {
                    match import?.ty {
                        ComponentTypeRef::Module(_) => self.modules.push(0),
                        ComponentTypeRef::Component(_) => self.components.push(0),
                        _ => {}
                    }
                }
            }
            Payload::ComponentAliasSection(aliases) => {
                for alias in aliases {
                    match alias? {
                        ComponentAlias::InstanceExport { kind: ComponentExternalKind::Module, .. }
                        | ComponentAlias::Outer { kind: ComponentOuterAliasKind::CoreModule, .. } => {
                            self.modules.push(0);
                        }
                        ComponentAlias::InstanceExport { kind: ComponentExternalKind::Component, .. }
                        | ComponentAlias::Outer { kind: ComponentOuterAliasKind::Component, .. } => {
                            self.components.push(0);
                        }
                        _ => {}
                    }
                }
            }
            Payload::ComponentExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    match export.kind {
                        ComponentExternalKind::Module => self.modules.push(at(&self.modules, export.index)),
                        ComponentExternalKind::Component => self.components.push(at(&self.components, export.index)),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// The bytes of the item `index`.
fn at(items: &[u64], index: u32) -> u64 {
    items.get(index as usize).copied().unwrap_or_default()
}

/// The bytes with which a memory starts.
fn bytes(memory: MemoryType) -> u64 {
    let page = memory.page_size_log2.unwrap_or(PAGE);
    memory.initial.saturating_mul(1u64.checked_shl(page).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> (u64, bool) {
        let Footprint { memory, collected } = Footprint::of(&wat::parse_str(text).unwrap());
        (memory >> 16, collected)
    }

    #[test]
    fn the_memories_of_all_instances_count_in_pages() {
        let cases = [
            ("(component)", 0),
            ("(component (core module (memory 7)))", 0),
            ("(component (core module $m (memory 7)) (core instance (instantiate $m)))", 7),
            ("(component (core module $m (memory 7)) (core instance (instantiate $m))
                (core instance (instantiate $m)))", 14),
            ("(component (core module $a (memory 1) (memory 2 9)) (core module $b (memory 4))
                (core instance (instantiate $b)) (core instance (instantiate $a)))", 7),
            ("(component (core module $m (memory 3)) (component $c
                (core module $m (memory 7)) (core instance (instantiate $m)))
                (instance (instantiate $c)) (instance (instantiate $c)))", 14),
            // What comes from outside counts as nothing.
            ("(component (import \"m\" (core module $i)) (core module $m (memory 5)) (core instance (instantiate $i))
                (core instance (instantiate $m)))", 5),
            ("(component (core module $m (memory 5)) (component $c (alias outer 1 $m (core module $o))
                (core module $n (memory 2)) (core instance (instantiate $o)) (core instance (instantiate $n)))
                (instance (instantiate $c)))", 2),
        ];
        for (text, pages) in cases {
            assert_eq!(of(text), (pages, false), "{text}");
        }
    }

    #[test]
    fn structs_arrays_and_exceptions_take_a_heap() {
        for item in
            ["(type (struct (field i32)))", "(type (array i8))", "(tag)", "(import \"a\" \"b\" (tag (param i32)))"]
        {
            assert_eq!(of(&format!("(component (core module {item} (memory 1)))")), (0, true), "{item}");
        }
        let without = "(component (core module (type (func)) (table 1 funcref) (memory 1)))";
        assert_eq!(of(without), (0, false));
    }

    #[test]
    fn bytes_that_are_no_component_take_nothing() {
        let whole = wat::parse_str("(component (core module $m (memory 7)) (core instance (instantiate $m)))").unwrap();
        for end in 0..whole.len() {
            assert!(Footprint::of(&whole[..end]).memory <= 7 << 16, "{end}");
        }
    }
}
