//! A component without the code of its functions: it has the same types, imports, exports, memories and tables, and is
//! compiled in a small part of the time.
//!
//! What the host must know before it serves (do the imports link, how many slots does an instance take) depends on all
//! of these and not on the code. Each function's body is replaced by one that traps, which is valid for every type.
//! What only fills memories and tables is left out: for each function that a table names, the compiler would make one
//! more.

use wasmparser::BinaryReader;

/// Magic number, version and layer (core specification, 5.5.16; component model, Binary.md).
const PREAMBLE: usize = 8;
/// The layers of the preamble.
const MODULE: [u8; 2] = [0, 0];
const COMPONENT: [u8; 2] = [1, 0];
/// Names, debug information, producers: nothing that a type depends on.
const CUSTOM: u8 = 0;
/// The sections of a module: elements of tables, bodies of functions, data of memories, and the number of these.
const ELEMENT: u8 = 9;
const CODE: u8 = 10;
const DATA: u8 = 11;
const DATA_COUNT: u8 = 12;
/// The sections of a component with a module, and with a component.
const CORE_MODULE: u8 = 1;
const NESTED_COMPONENT: u8 = 4;
/// A body of three bytes: no locals, `unreachable`, `end`.
const BODY: [u8; 4] = [3, 0, 0x00, 0x0b];
/// The most components inside of each other. Compilers make three.
const DEPTH: usize = 32;

/// The skeleton of the component in `bytes`; `None` if the bytes cannot be followed.
pub(super) fn skeleton(bytes: &[u8]) -> Option<Vec<u8>> {
    within(bytes, DEPTH)
}

/// The skeleton of a component or module that may hold components `depth` levels deep.
fn within(bytes: &[u8], depth: usize) -> Option<Vec<u8>> {
    let depth = depth.checked_sub(1)?;
    let (preamble, sections) = bytes.split_at_checked(PREAMBLE)?;
    let is_module = match [preamble[6], preamble[7]] {
        MODULE => true,
        COMPONENT => false,
        _ => return None,
    };
    let mut made = preamble.to_vec();
    let mut reader = BinaryReader::new(sections, PREAMBLE as u64);
    while !reader.eof() {
        let id = reader.read_u8().ok()?;
        let length = reader.read_var_u32().ok()?;
        let content = reader.read_bytes(length as usize).ok()?;
        match id {
            CUSTOM => {}
            ELEMENT | DATA | DATA_COUNT if is_module => {}
            CODE if is_module => write_section(&mut made, id, &bodies(content)?)?,
            CORE_MODULE | NESTED_COMPONENT if !is_module => write_section(&mut made, id, &within(content, depth)?)?,
            _ => write_section(&mut made, id, content)?,
        }
    }
    Some(made)
}

/// The section of as many functions as `code` has, none of which does anything.
fn bodies(code: &[u8]) -> Option<Vec<u8>> {
    let count = BinaryReader::new(code, 0).read_var_u32().ok()?;
    // Each function takes a byte at least, so a false count cannot make the result large.
    if count as usize > code.len() {
        return None;
    }
    let mut section = Vec::with_capacity(5 + BODY.len() * count as usize);
    write_number(&mut section, count);
    (0..count).for_each(|_| section.extend(BODY));
    Some(section)
}

fn write_section(into: &mut Vec<u8>, id: u8, content: &[u8]) -> Option<()> {
    into.push(id);
    write_number(into, u32::try_from(content.len()).ok()?);
    into.extend_from_slice(content);
    Some(())
}

/// Writes an unsigned number in LEB128 (core specification, 5.2.2).
fn write_number(into: &mut Vec<u8>, mut number: u32) {
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            into.push(low);
            return;
        }
        into.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use wasmtime::Engine;
    use wasmtime::component::Component as Code;

    const TEXT: &str = r#"(component
        (import "host" (func $host (param "n" u32)))
        (core func $lowered (canon lower (func $host)))
        (component $inner
            (core module $m (memory 1) (func (export "twice") (param i32) (result i32)
                local.get 0 local.get 0 i32.add))
            (core instance $i (instantiate $m))
            (func (export "twice") (param "n" s32) (result s32) (canon lift (core func $i "twice"))))
        (instance $inner (instantiate $inner))
        (core module $m (@custom "note" "text") (import "host" "host" (func $host (param i32)))
            (table 3 funcref) (memory 2) (data (i32.const 0) "data") (start $begin)
            (elem (i32.const 1) $begin) (data $passive "note") (global funcref (ref.func $begin))
            (func (memory.init $passive (i32.const 0) (i32.const 0) (i32.const 1)))
            (func $begin (call $host (i32.const 1))) (func (export "run") (result i64) i64.const 7))
        (core instance $i (instantiate $m (with "host" (instance (export "host" (func $lowered))))))
        (func (export "run") (result s64) (canon lift (core func $i "run")))
        (export "inner" (instance $inner)))"#;

    #[test]
    fn a_skeleton_has_the_types_and_the_needs_of_its_component() {
        let (engine, bytes) = (Engine::default(), wat::parse_str(TEXT).unwrap());
        let made = skeleton(&bytes).unwrap();
        assert!(made.len() < bytes.len() && !made.windows(4).any(|window| window == b"note"));
        let [whole, bare] = [&bytes, &made].map(|bytes| Code::new(&engine, bytes).unwrap());
        let needs = |code: &Code| {
            let needs = code.resources_required().unwrap();
            (needs.num_memories, needs.num_tables, needs.max_initial_memory_size, needs.max_initial_table_size)
        };
        assert_eq!(needs(&whole), needs(&bare));
        for (imports, exports) in [&whole, &bare].map(|code| {
            let ty = code.component_type();
            let imports: Vec<_> = ty.imports(&engine).map(|(name, item)| format!("{name} {:?}", item.ty)).collect();
            (imports, ty.exports(&engine).map(|(name, _)| name.to_owned()).collect::<Vec<_>>())
        }) {
            assert!(imports.len() == 1 && imports[0].starts_with("host ComponentFunc"), "{imports:?}");
            assert_eq!(exports, ["inner", "run"]);
        }
    }

    #[test]
    fn components_too_deep_inside_of_each_other_have_no_skeleton() {
        let nested = |levels: usize| {
            let text = "(component ".repeat(levels) + &")".repeat(levels);
            skeleton(&wat::parse_str(text).unwrap())
        };
        assert!(nested(DEPTH).is_some());
        assert_eq!(nested(DEPTH + 1), None);
    }

    proptest! {
        #[test]
        fn damaged_bytes_do_no_harm(at in 0_usize..400, byte: u8, end in 0_usize..400) {
            let mut bytes = wat::parse_str(TEXT).unwrap();
            let length = bytes.len();
            bytes[at % length] = byte;
            for bytes in [&bytes[..], &bytes[..end % length]] {
                if let Some(made) = skeleton(bytes) {
                    // A body of three bytes and its length, for each byte of a false count.
                    prop_assert!(made.len() <= 5 * bytes.len());
                }
            }
        }

        #[test]
        fn numbers_are_read_back(number: u32) {
            let mut bytes = Vec::new();
            write_number(&mut bytes, number);
            let mut reader = BinaryReader::new(&bytes, 0);
            prop_assert_eq!((reader.read_var_u32().unwrap(), reader.eof()), (number, true));
        }
    }
}
