//! Where in the source a guest's code comes from, by the debug information (DWARF) in the file of its component.
//!
//! It is looked up when somebody asks, and never while a guest fails: Wasmtime can do it for each backtrace, but then
//! it keeps the debug information in memory with the code, and reads it once for each frame of each failure.

use crate::base::log_safe;
use addr2line::gimli::{Dwarf, EndianSlice, LittleEndian, SectionId};
use std::convert::Infallible;
use std::ops::Range;
use wasmparser::{Encoding, Parser, Payload};

/// The most lines of one frame: of more, those between the innermost ones and the outermost one are left out.
const MOST_LINES: usize = 8;
/// The longest name and the longest place, in characters. Names of generic functions are as long as their types.
const LONGEST: usize = 160;

/// A line of source from which an instruction was compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceLine {
    /// The function that has this line, demangled, if the debug information names it.
    pub function: Option<String>,
    /// `src/lib.rs:7:3`, with the path as the compiler wrote it. It is safe for the log.
    pub place: String,
}

impl SourceLine {
    /// A frame of a stack with its lines: one text for the function itself, after one for each function that was
    /// inlined there; the frame alone if there are no lines.
    pub fn stack(frame: &str, lines: &[Self]) -> Vec<String> {
        let Some((outermost, inlined)) = lines.split_last() else { return vec![frame.to_owned()] };
        let name = |line: &Self| line.function.clone().unwrap_or_else(|| "(inlined)".to_owned());
        let mut stack: Vec<_> = inlined.iter().map(|line| format!("{} at {}", name(line), line.place)).collect();
        stack.push(format!("{frame} at {}", outermost.place));
        stack
    }
}

/// One core module of a component.
#[derive(Debug, Default)]
struct ModuleSections<'a> {
    /// Where its code is in the file of the component. The addresses of the debug information count from its begin.
    code: Range<u64>,
    debug: Vec<(&'a str, &'a [u8])>,
}

impl<'a> ModuleSections<'a> {
    /// All core modules of a component, also those of components within it, up to the first byte that is none.
    fn all(component: &'a [u8]) -> Vec<Self> {
        let mut modules: Vec<Self> = Vec::new();
        for payload in Parser::new(0).parse_all(component).map_while(Result::ok) {
            match (payload, modules.last_mut()) {
                (Payload::Version { encoding: Encoding::Module, .. }, _) => modules.push(Self::default()),
                (Payload::CodeSectionStart { unchecked_range, .. }, Some(module)) => module.code = unchecked_range,
                (Payload::CustomSection(section), Some(module)) if section.name().starts_with(".debug_") => {
                    module.debug.push((section.name(), section.data()));
                }
                _ => {}
            }
        }
        modules
    }

    fn has_lines(&self) -> bool {
        self.debug.iter().any(|(name, data)| *name == SectionId::DebugLine.name() && !data.is_empty())
    }

    /// What looks lines up. `None` if the debug information cannot be read.
    fn context(&self) -> Option<addr2line::Context<EndianSlice<'a, LittleEndian>>> {
        let section = |id: SectionId| {
            let data = self.debug.iter().find(|(name, _)| *name == id.name()).map_or(&[][..], |(_, data)| data);
            Ok::<_, Infallible>(EndianSlice::new(data, LittleEndian))
        };
        let Ok(dwarf) = Dwarf::load(section);
        addr2line::Context::from_dwarf(dwarf).ok()
    }
}

/// Whether the component has debug information by which [`source_lines`] finds lines.
pub fn has_source_lines(component: &[u8]) -> bool {
    ModuleSections::all(component).iter().any(ModuleSections::has_lines)
}

/// The lines of source of the instructions at these offsets in the file of a component: for each offset the line of the
/// innermost function first, then those where it was inlined. None for code without debug information.
pub fn source_lines(component: &[u8], offsets: &[u32]) -> Vec<Vec<SourceLine>> {
    let mut found = vec![Vec::new(); offsets.len()];
    for module in ModuleSections::all(component).iter().filter(|module| module.has_lines()) {
        let mut own =
            offsets.iter().zip(&mut found).filter(|(at, _)| module.code.contains(&u64::from(**at))).peekable();
        // Nothing is read of a module that no frame is in.
        let Some(context) = own.peek().and_then(|_| module.context()) else { continue };
        for (offset, lines) in own {
            let Ok(mut frames) = context.find_frames(u64::from(*offset) - module.code.start).skip_all_loads() else {
                continue;
            };
            while let Ok(Some(frame)) = frames.next() {
                let Some(place) = frame.location.as_ref().and_then(place) else { continue };
                let name = frame.function.as_ref().and_then(|name| name.raw_name().ok());
                let function = name.map(|name| cut(&log_safe(&plain(&name))));
                // The outermost one takes the place of those that it is far from.
                lines.truncate(MOST_LINES - 1);
                lines.push(SourceLine { function, place });
            }
        }
    }
    found
}

fn place(location: &addr2line::Location<'_>) -> Option<String> {
    let mut place = cut(&log_safe(location.file?));
    for number in [location.line, location.column].into_iter().map_while(|number| number.filter(|one| *one > 0)) {
        place.push_str(&format!(":{number}"));
    }
    Some(place)
}

/// At most so much of a text as is kept.
fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A name without what Rust adds to it for the linker.
fn plain(name: &str) -> String {
    rustc_demangle::try_demangle(name).map_or_else(|_| name.to_owned(), |name| format!("{name:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A length of less than 16 KiB as WebAssembly has it.
    fn leb(length: usize) -> [u8; 2] {
        [u8::try_from(length & 0x7f).unwrap() | 0x80, u8::try_from(length >> 7).unwrap()]
    }

    /// A core module with one function, `unreachable`, and these custom sections.
    fn module(sections: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = b"\0asm\x01\0\0\0".to_vec();
        bytes.extend(b"\x01\x04\x01\x60\0\0"); // the type: nothing to nothing
        bytes.extend(b"\x03\x02\x01\0"); // one function of this type
        bytes.extend(b"\x0a\x05\x01\x03\0\0\x0b"); // its body: no locals, unreachable, end
        for (name, data) in sections {
            let length = 1 + name.len() + data.len();
            bytes.push(0);
            bytes.extend(leb(length));
            bytes.push(u8::try_from(name.len()).unwrap());
            bytes.extend(name.as_bytes());
            bytes.extend(*data);
        }
        bytes
    }

    /// A component of these core modules.
    fn component(modules: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
        for module in modules {
            bytes.push(1);
            bytes.extend(leb(module.len()));
            bytes.extend(module);
        }
        bytes
    }

    #[test]
    fn code_without_debug_information_has_no_lines() {
        let plain = component(&[module(&[("name", b"")])]);
        assert!(!has_source_lines(&plain));
        assert_eq!(source_lines(&plain, &[0, 30, u32::MAX]), [vec![], vec![], vec![]]);
        assert_eq!(source_lines(b"no component", &[3]), [vec![]]);
    }

    #[test]
    fn the_code_of_each_module_is_where_it_is_in_the_file() {
        let modules = [module(&[(".debug_line", b"x")]), module(&[])];
        let bytes = component(&modules);
        let found = ModuleSections::all(&bytes);
        let lengths: Vec<_> = found.iter().map(|one| (one.code.end - one.code.start, one.has_lines())).collect();
        assert_eq!(lengths, [(5, true), (5, false)]);
        for module in &found {
            let start = usize::try_from(module.code.start).unwrap();
            assert_eq!(bytes[start..start + 5], *b"\x01\x03\0\0\x0b", "the count of functions comes first");
        }
    }

    #[test]
    fn debug_information_that_is_damaged_has_no_lines() {
        let noise: Vec<u8> = (0..60).map(|number: u8| number.wrapping_mul(37)).collect();
        let sections = [".debug_abbrev", ".debug_info", ".debug_line", ".debug_str"];
        let bytes = component(&[module(&sections.map(|name| (name, &noise[..])))]);
        assert!(has_source_lines(&bytes));
        let code = ModuleSections::all(&bytes)[0].code.clone();
        let offsets: Vec<_> = code.map(|at| u32::try_from(at).unwrap()).collect();
        assert!(source_lines(&bytes, &offsets).iter().all(Vec::is_empty));
    }

    #[test]
    fn a_frame_is_shown_after_what_was_inlined_there() {
        let line = |function: Option<&str>, place: &str| SourceLine {
            function: function.map(str::to_owned),
            place: place.to_owned(),
        };
        assert_eq!(SourceLine::stack("shop::order", &[]), ["shop::order"]);
        let lines =
            [line(Some("check"), "src/a.rs:1:2"), line(None, "src/b.rs:3"), line(Some("order"), "src/c.rs:4:5")];
        assert_eq!(
            SourceLine::stack("shop::order", &lines),
            ["check at src/a.rs:1:2", "(inlined) at src/b.rs:3", "shop::order at src/c.rs:4:5"]
        );
    }

    #[test]
    fn a_name_of_rust_is_demangled_without_its_hash() {
        assert_eq!(plain("_ZN4shop5order17h0123456789abcdefE"), "shop::order");
        assert_eq!(plain("order"), "order");
        assert_eq!((cut("é"), cut(&"é".repeat(LONGEST + 1)).chars().count()), ("é".to_owned(), LONGEST + 1));
    }
}
