//! The full names of the functions of a service, as texts that the spans of its calls share.

use crate::contract::FunctionName;
use arc_swap::ArcSwap;
use std::sync::Arc;

/// Further names are made for each span. Callers choose among the functions that the contracts have, so there are few.
const MOST: usize = 256;

/// The texts that were asked for so far. To write one costs more than all the rest of a span.
#[derive(Default)]
pub(crate) struct FunctionTexts(ArcSwap<Vec<(FunctionName, Arc<str>)>>);

impl FunctionTexts {
    /// The text of this name.
    pub(crate) fn of(&self, function: &FunctionName) -> Arc<str> {
        let known = self.0.load();
        if let Some((_, text)) = known.iter().find(|(own, _)| own == function) {
            return Arc::clone(text);
        }
        let text: Arc<str> = function.to_string().into();
        if known.len() < MOST {
            let all = known.iter().cloned().chain([(function.clone(), Arc::clone(&text))]);
            // If two threads add a name at the same moment, one of the names is added by its next call.
            self.0.store(Arc::new(all.collect()));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::InterfaceName;

    #[test]
    fn a_name_is_written_once_and_only_so_many_are_kept() {
        let texts = FunctionTexts::default();
        let name = |number: usize| FunctionName {
            interface: InterfaceName::new("shop:users/users@1.0.0"),
            function: format!("get-{number}"),
        };
        let first = texts.of(&name(0));
        assert_eq!(&*first, "shop:users/users@1.0.0#get-0");
        for number in 0..MOST + 10 {
            texts.of(&name(number));
        }
        assert!(Arc::ptr_eq(&first, &texts.of(&name(0))));
        assert!(!Arc::ptr_eq(&texts.of(&name(MOST)), &texts.of(&name(MOST))));
        assert_eq!(texts.0.load().len(), MOST);
    }
}
