//! Makes JSON smaller, so that of a failing argument only what makes it fail is left.

use serde_json::{Map, Number, Value};

/// Values that are a step smaller than `value`, the smallest first. Each has less in it by a measure that only falls,
/// so a walk along them ends. Some may not fit the type: whoever tries them finds that out.
pub fn smaller(value: &Value) -> Vec<Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Bool(value) => {
            if *value {
                vec![Value::Bool(false)]
            } else {
                Vec::new()
            }
        }
        Value::Number(number) => smaller_numbers(number),
        Value::String(text) => smaller_texts(text),
        Value::Array(items) => smaller_arrays(items),
        Value::Object(members) => smaller_objects(members),
    }
}

fn smaller_numbers(number: &Number) -> Vec<Value> {
    if let Some(whole) = number.as_i64() {
        let mut steps = vec![0, whole / 2, whole - whole.signum()];
        if whole < 0 {
            steps.insert(1, whole.checked_neg().unwrap_or(i64::MAX));
        }
        steps.dedup();
        return steps.into_iter().filter(|step| *step != whole).map(Value::from).collect();
    }
    if let Some(whole) = number.as_u64() {
        return vec![Value::from(0), Value::from(whole / 2), Value::from(whole - 1)];
    }
    let float = number.as_f64().unwrap_or_default();
    let steps = [0.0, float.trunc()];
    steps.into_iter().filter(|step| step.abs() < float.abs()).map(Value::from).collect()
}

fn smaller_texts(text: &str) -> Vec<Value> {
    let characters: Vec<char> = text.chars().collect();
    let half = characters.len() / 2;
    let mut steps = Vec::new();
    if !characters.is_empty() {
        steps.push(String::new());
        steps.push(characters[..half].iter().collect());
        steps.push(characters[half..].iter().collect());
        for left_out in 0..characters.len() {
            let rest = characters.iter().enumerate().filter(|(at, _)| *at != left_out).map(|(_, one)| *one);
            steps.push(rest.collect());
        }
    }
    // A number of 64 bits may be a text of digits, which has no empty form.
    if characters.len() > 1 && characters.iter().all(char::is_ascii_digit) {
        steps.insert(0, "0".to_owned());
    }
    steps.retain(|step| step.len() < text.len());
    steps.into_iter().map(Value::String).collect()
}

fn smaller_arrays(items: &[Value]) -> Vec<Value> {
    let mut steps = Vec::new();
    if items.len() > 1 {
        steps.push(Value::Array(Vec::new()));
    }
    for at in 0..items.len() {
        let mut rest = items.to_vec();
        rest.remove(at);
        steps.push(Value::Array(rest));
    }
    for (at, item) in items.iter().enumerate() {
        for step in smaller(item) {
            let mut changed = items.to_vec();
            changed[at] = step;
            steps.push(Value::Array(changed));
        }
    }
    steps
}

fn smaller_objects(members: &Map<String, Value>) -> Vec<Value> {
    let mut steps = Vec::new();
    for (name, value) in members {
        let absent = (!value.is_null()).then_some(Value::Null);
        for step in absent.into_iter().chain(smaller(value)) {
            let mut changed = members.clone();
            changed.insert(name.clone(), step);
            steps.push(Value::Object(changed));
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Walks to the smallest value that still fails.
    fn shrink(mut value: Value, fails: impl Fn(&Value) -> bool) -> (Value, u32) {
        let mut steps = 0;
        while let Some(next) = smaller(&value).into_iter().find(&fails) {
            (value, steps) = (next, steps + 1);
        }
        (value, steps)
    }

    #[test]
    fn what_makes_it_fail_is_left_and_nothing_else() {
        let value = json!({"name": "a long 漢 name", "ids": [1, 2, 500, 4], "more": {"x": true}});
        let fails = |value: &Value| {
            let big = value["ids"].as_array().is_some_and(|ids| ids.iter().any(|id| id.as_i64() > Some(100)));
            big && value["name"].as_str().is_some_and(|name| name.contains('漢'))
        };
        let (smallest, _) = shrink(value, fails);
        assert_eq!(smallest, json!({"name": "漢", "ids": [101], "more": null}));
    }

    #[test]
    fn a_walk_ends_whatever_fails() {
        for value in [
            json!(i64::MIN),
            json!(u64::MAX),
            json!(-1.5e300),
            json!("18446744073709551615"),
            json!([[1, -2], "😀", {"a": [null, true]}]),
        ] {
            let (smallest, steps) = shrink(value.clone(), |_| true);
            assert!(steps < 100, "{value}: {steps}");
            assert!(smaller(&smallest).is_empty(), "{smallest}");
        }
    }
}
