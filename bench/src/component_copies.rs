//! Makes copies of a component that differ in their bytes and behave in the same way.

use anyhow::Context;
use std::fs;
use std::path::Path;

/// Writes `count` copies of the component `fixture` into `folder`, as `0.wasm` and so on. Each has a number at its
/// end.
///
/// # Errors
/// If it is missing (`./just build-components`), or the folder cannot be written.
pub(crate) fn write(fixture: &Path, folder: &Path, count: usize) -> anyhow::Result<()> {
    let bytes = fs::read(fixture).with_context(|| format!("{}: ./just build-components", fixture.display()))?;
    fs::create_dir_all(folder)?;
    for number in 0..count {
        fs::write(folder.join(format!("{number}.wasm")), numbered(&bytes, u32::try_from(number)?))?;
    }
    Ok(())
}

/// The bytes of a component with a number in a section of its own at their end.
fn numbered(bytes: &[u8], number: u32) -> Vec<u8> {
    // A custom section (0): its length, the length of its name, its name, its content.
    let section = [0, 6, 1, b'n'];
    bytes.iter().copied().chain(section).chain(number.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_with_different_numbers_have_different_bytes() {
        let (one, other) = (numbered(b"\0asm", 1), numbered(b"\0asm", 2));
        assert_ne!(one, other);
        assert_eq!(one, b"\0asm\0\x06\x01n\x01\0\0\0");
    }
}
