//! Text of strangers, made safe for a line of the log.

use std::borrow::Cow;
use std::fmt::Write;

/// `text` as one line that shows what it is: each character that a terminal would obey or hide is written as Rust
/// writes it in a string (`\r`, `\u{202e}`). Tabs stay. Without such characters the text is not copied.
///
/// A newline would begin a forged line; a carriage return overwrites the line's beginning; a bidi control turns the
/// order of the characters.
pub fn log_safe(text: &str) -> Cow<'_, str> {
    let Some((first, _)) = text.char_indices().find(|(_, character)| is_unsafe(*character)) else {
        return text.into();
    };
    let mut safe = text[..first].to_owned();
    for character in text[first..].chars() {
        if is_unsafe(character) {
            // A string takes everything.
            let _ = write!(safe, "{}", character.escape_default());
        } else {
            safe.push(character);
        }
    }
    safe.into()
}

/// Controls (Cc) but the tab; the line and the paragraph separator; Bidi_Control (Unicode's PropList.txt); and the
/// format characters that show nothing, with the tags. The joiners (U+200C, U+200D) shape letters and emoji, so they
/// stay.
fn is_unsafe(character: char) -> bool {
    match character {
        '\t' => false,
        '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{feff}' => true,
        '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}' => true,
        '\u{e0000}'..='\u{e007f}' => true,
        _ => character.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_or_hide_is_escaped() {
        let table = [
            ("a\tb \"c\" \\ é \u{200d}", "a\tb \"c\" \\ é \u{200d}"),
            ("a\rb\nc", "a\\rb\\nc"),
            ("\0\u{8}\u{1b}[2J\u{7f}\u{9b}", "\\u{0}\\u{8}\\u{1b}[2J\\u{7f}\\u{9b}"),
            ("\u{2028}\u{2029}\u{feff}\u{e0041}", "\\u{2028}\\u{2029}\\u{feff}\\u{e0041}"),
            ("\u{61c}\u{200e}\u{200f}", "\\u{61c}\\u{200e}\\u{200f}"),
            ("é\u{202a}\u{202e}\u{2066}\u{2069}", "é\\u{202a}\\u{202e}\\u{2066}\\u{2069}"),
        ];
        for (text, safe) in table {
            assert_eq!(log_safe(text), safe);
        }
        assert!(matches!(log_safe("a\tb"), Cow::Borrowed(_)));
    }
}
