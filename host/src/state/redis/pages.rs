//! Values and pages as the scripts answer them. A stored value is 8 bytes of its version, the first byte first, and
//! then the value itself.

use super::resp::RespReply;
use crate::state::error::StateError;
use crate::state::remote::key_range;
use crate::state::transaction::{Entry, Key, Page, Versioned, limit};
use std::collections::BTreeMap;

/// The bytes of a version before its value.
pub(super) const VERSION_BYTES: usize = 8;

/// What a script answers is none of its answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OddAnswer;

/// A range of keys as `ZRANGE … BYLEX` takes it.
pub(super) fn bounds(prefix: &[u8], after: Option<&[u8]>) -> (Vec<u8>, Vec<u8>) {
    let (from, end) = key_range(prefix, after);
    ([b"[", from.as_slice()].concat(), [b"(", end.as_slice()].concat())
}

/// The first word of an answer.
pub(super) fn status(answer: &[RespReply]) -> &[u8] {
    if let Some(RespReply::Text(word)) = answer.first() { word } else { b"" }
}

/// A number that a script has answered.
pub(super) fn number(reply: Option<&RespReply>) -> Result<u64, OddAnswer> {
    match reply {
        Some(RespReply::Text(text)) => {
            std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(OddAnswer)
        }
        _ => Err(OddAnswer),
    }
}

/// A stored value.
pub(super) fn versioned(stored: &[u8]) -> Result<Versioned, OddAnswer> {
    let (version, value) = stored.split_first_chunk::<VERSION_BYTES>().ok_or(OddAnswer)?;
    Ok(Versioned { value: value.to_vec(), version: u64::from_be_bytes(*version) })
}

/// The values of `count` keys, after the word `ok`.
pub(super) fn values(
    answer: Vec<RespReply>,
    count: usize,
) -> Result<Result<Vec<Option<Versioned>>, StateError>, OddAnswer> {
    match status(&answer) {
        b"large" => {
            let too_large = StateError::TooLarge { what: "the values of one read", limit: limit::BYTES, unit: "bytes" };
            return Ok(Err(too_large));
        }
        b"ok" if answer.len() == count + 1 => {}
        _ => return Err(OddAnswer),
    }
    let value = |reply| match reply {
        RespReply::Nil => Ok(None),
        RespReply::Text(stored) => versioned(&stored).map(Some),
        _ => Err(OddAnswer),
    };
    Ok(Ok(answer.into_iter().skip(1).map(value).collect::<Result<_, _>>()?))
}

/// A page of entries, after whether more follow.
pub(super) fn entries(answer: Vec<RespReply>) -> Result<Page<Entry>, OddAnswer> {
    let more = status(&answer) == b"1";
    let items = stored_entries(&mut answer.into_iter().skip(1))?
        .into_iter()
        .map(|(key, stored)| Ok(Entry { key, value: versioned(&stored)? }))
        .collect::<Result<Vec<_>, OddAnswer>>()?;
    if more && items.is_empty() {
        // A key without a value: an end here would keep all that follows from whoever reads.
        return Err(OddAnswer);
    }
    let next = items.last().filter(|_| more).map(|entry| entry.key.clone());
    Ok(Page { items, next })
}

/// A page of at most `limit` keys, where one more was asked for, after the word `ok`.
pub(super) fn keys(answer: Vec<RespReply>, limit: usize) -> Result<Page<Key>, OddAnswer> {
    if status(&answer) != b"ok" {
        return Err(OddAnswer);
    }
    let mut items =
        answer.into_iter().skip(1).map(|reply| reply.text().ok_or(OddAnswer)).collect::<Result<Vec<_>, _>>()?;
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).cloned();
    Ok(Page { items, next })
}

/// A page of a snapshot, from what is there now and what was there before. It may be empty, although more follow.
pub(super) fn entries_of_snapshot(answer: Vec<RespReply>, limit: usize) -> Result<Page<Entry>, OddAnswer> {
    let count = |at: usize| number(answer.get(at)).map(|count| usize::try_from(count).unwrap_or(usize::MAX));
    let more = |at: usize| answer.get(at) == Some(&RespReply::Text(b"1".into()));
    let ((live_more, live_count), before_more) = ((more(1), count(2)?), more(3));
    let mut rest = answer.into_iter().skip(5);
    let live = stored_entries(&mut rest.by_ref().take(live_count.saturating_mul(2)))?;
    let before = stored_entries(&mut rest)?;
    // Beyond the end of either part nothing is known.
    let ends = [live.last().filter(|_| live_more), before.last().filter(|_| before_more)];
    let mut next = ends.into_iter().flatten().map(|(key, _)| key.clone()).min();
    if next.is_none() && (live_more || before_more) {
        return Err(OddAnswer);
    }
    let mut there: BTreeMap<Key, Vec<u8>> = live.into_iter().collect();
    there.extend(before);
    let (mut items, mut bytes) = (Vec::<Entry>::new(), 0);
    for (key, stored) in there.into_iter().filter(|(_, stored)| !stored.is_empty()) {
        if next.as_ref().is_some_and(|end| key > *end) {
            break;
        }
        bytes += key.len() + stored.len() - VERSION_BYTES.min(stored.len());
        let is_full = items.len() == limit || bytes > limit::PAGE_BYTES;
        if let Some(last) = items.last().filter(|_| is_full) {
            next = Some(last.key.clone());
            break;
        }
        items.push(Entry { key, value: versioned(&stored)? });
    }
    Ok(Page { items, next })
}

/// Keys and stored values in turn.
fn stored_entries(replies: &mut dyn Iterator<Item = RespReply>) -> Result<Vec<(Key, Vec<u8>)>, OddAnswer> {
    let mut entries = Vec::new();
    while let Some(key) = replies.next() {
        let stored = replies.next().and_then(RespReply::text).ok_or(OddAnswer)?;
        entries.push((key.text().ok_or(OddAnswer)?, stored));
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The part of an answer: its beginning, and its entries.
    fn part(entries: &[(u8, Option<u8>)], limit: usize) -> ([RespReply; 2], Vec<RespReply>) {
        let text = |text: &[u8]| RespReply::Text(text.to_vec());
        let shown = &entries[..entries.len().min(limit)];
        let value = |value: &Option<u8>| value.map_or(Vec::new(), |value| [&[0; 7][..], &[1, value]].concat());
        let begin =
            [text(if shown.len() < entries.len() { b"1" } else { b"0" }), text(shown.len().to_string().as_bytes())];
        (begin, shown.iter().flat_map(|(key, one)| [text(&[*key]), text(&value(one))]).collect())
    }

    /// All of a snapshot, page by page, from what is there now and what was kept.
    fn walked(live: &[(u8, Option<u8>)], before: &[(u8, Option<u8>)], limit: usize) -> Vec<(u8, u8)> {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let of = |all: &[(u8, Option<u8>)]| -> Vec<_> {
                all.iter().copied().filter(|(key, _)| after.is_none_or(|after| *key > after)).collect()
            };
            let ((begin, live), (middle, before)) = (part(&of(live), limit), part(&of(before), limit));
            let answer = [vec![RespReply::Text(b"ok".into())], begin.into(), middle.into(), live, before].concat();
            let page = entries_of_snapshot(answer, limit).unwrap();
            assert!(page.items.len() <= limit);
            found.extend(page.items.into_iter().map(|entry| (entry.key[0], entry.value.value[0])));
            match page.next {
                None => return found,
                Some(next) => after = Some(next[0]),
            }
        }
    }

    #[test]
    fn pages_of_a_snapshot_are_what_was_there_whatever_is_written_since() {
        // What was there: 1 to 8 with their own numbers. Since then 2 and 3 are deleted, 5 is changed, 9 is new.
        let live = [(1, Some(1)), (4, Some(4)), (5, Some(50)), (6, Some(6)), (7, Some(7)), (8, Some(8)), (9, Some(90))];
        let before = [(2, Some(2)), (3, Some(3)), (5, Some(5)), (9, None)];
        let was: Vec<_> = (1..=8).map(|n| (n, n)).collect();
        for limit in 1..=12 {
            assert_eq!(walked(&live, &before, limit), was, "pages of {limit}");
        }
        assert_eq!(walked(&[], &before, 1), [(2, 2), (3, 3), (5, 5)], "all is erased since");
        assert_eq!(walked(&live, &[(1, None)], 2).len(), 6, "one is new");
        assert_eq!(entries_of_snapshot(vec![RespReply::Nil; 5], 1), Err(OddAnswer));
    }

    #[test]
    fn a_page_that_has_nothing_although_more_follow_is_none() {
        assert_eq!(entries(vec![RespReply::Text(b"1".into())]), Err(OddAnswer));
        assert_eq!(entries(vec![RespReply::Text(b"0".into())]), Ok(Page { items: Vec::new(), next: None }));
    }

    #[test]
    fn a_range_is_an_inclusive_and_an_exclusive_bound() {
        assert_eq!(bounds(b"a", None), (b"[a".to_vec(), b"(b".to_vec()));
        assert_eq!(bounds(b"a", Some(b"ab")), (b"[ab\0".to_vec(), b"(b".to_vec()));
    }
}
