//! Whether an answer is as expected.

use serde_json::Value;

/// The first place where `found` is not as `expected`, in words; `None` if it is. The members of an object that are not
/// expected do not count, so that an example need not know a new id; everything else does.
pub fn mismatch(expected: &Value, found: &Value) -> Option<String> {
    let (pointer, expected, found) = first(String::new(), expected, found)?;
    let place = if pointer.is_empty() { String::new() } else { format!("`{pointer}` ") };
    Some(match found {
        None => format!("{place}is missing, and should be {expected}"),
        Some(found) => format!("{place}should be {expected}, and is {found}"),
    })
}

/// The place, what should be there, and what is.
fn first<'a>(pointer: String, expected: &'a Value, found: &'a Value) -> Option<(String, &'a Value, Option<&'a Value>)> {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => expected.iter().find_map(|(name, expected)| {
            let pointer = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
            match found.get(name) {
                Some(found) => first(pointer, expected, found),
                None => Some((pointer, expected, None)),
            }
        }),
        (Value::Array(items), Value::Array(others)) if items.len() == others.len() => {
            let mut places = items.iter().zip(others).enumerate();
            places.find_map(|(at, (expected, found))| first(format!("{pointer}/{at}"), expected, found))
        }
        // 7 and 7.0 are one number.
        (Value::Number(a), Value::Number(b)) if a == b || (a.as_f64() == b.as_f64() && (a.is_f64() || b.is_f64())) => {
            None
        }
        _ if expected == found => None,
        _ => Some((pointer, expected, Some(found))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn members_that_are_not_expected_do_not_count_and_everything_else_does() {
        let cases = [
            (json!({"a": 1}), json!({"a": 1, "id": "7"}), None),
            (json!([{"a": 1}]), json!([{"a": 1, "b": 2}]), None),
            (json!(7), json!(7.0), None),
            (json!({"a": 1}), json!({}), Some("`/a` is missing, and should be 1")),
            (json!({"a": {"b/c": [1, 2]}}), json!({"a": {"b/c": [1, 3]}}), Some("`/a/b~1c/1` should be 2, and is 3")),
            (json!([1]), json!([1, 2]), Some("should be [1], and is [1,2]")),
            (json!("x"), json!(null), Some("should be \"x\", and is null")),
        ];
        for (expected, found, told) in cases {
            assert_eq!(mismatch(&expected, &found).as_deref(), told, "{expected} {found}");
        }
    }
}
