//! Panics of redb at damaged pages: they are caught, become errors, and print nothing of their own.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};

thread_local! {
    /// Whether a panic of this thread is caught here.
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// The result of `work`, or the message of its panic.
///
/// # Errors
/// It panicked.
pub(super) fn catch<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    let before = CAUGHT.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    CAUGHT.set(before);
    result.map_err(|panic| text(panic.as_ref()))
}

fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("unknown").to_string()
}

/// Keeps quiet about the panics that are caught here: each becomes an error, which is told where it belongs. Without
/// this, a damaged database would print a thread's name, a line of redb and perhaps a backtrace before the error. All
/// other panics are printed as before. Call it once, before there are threads.
pub fn keep_quiet_about_caught_panics() {
    let usual = take_hook();
    set_hook(Box::new(move |panic| {
        if !CAUGHT.get() {
            usual(panic);
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_message_and_leaves_the_thread_as_it_was() {
        assert_eq!(catch(|| 1), Ok(1));
        assert_eq!(catch(|| -> u8 { panic!("page {} makes no sense", 7) }), Err("page 7 makes no sense".into()));
        assert!(!CAUGHT.get());
    }
}
