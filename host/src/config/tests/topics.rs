//! Topics and subscriptions: what a manifest can get wrong about them, and their defaults.

use super::{cases, parse};
use crate::delivery::SubscriptionSettings;
use crate::events::Retention;
use std::time::Duration;

#[test]
fn wrong_topics_and_subscriptions_are_findings() {
    cases! {
        "[topic.Orders]" => "1:8", "`Orders` is no topic name", "rename it";
        "[topic.orders.placed]\nretention = '1d'" =>
            "1:15", "`orders.placed` is read as `placed` in `orders`", "[topic.\"orders.placed\"]";
        "[topic.orders.placed.eu]" =>
            "1:15", "`orders.placed.eu` is read as", "[topic.\"orders.placed.eu\"]";
        "[topic.a]\nsize = 1" => "2:8", "`size` must be a size of 1MiB to 1TiB, not 1", "64MiB";
        "[topic.a]\npayload = 'order'" => "2:11", "`payload` must be a type of WIT", "`#`";
        "[service.a]\ncomponent = 'users.wasm'\npublish = ['b']" =>
            "3:12", "there is no topic `b`", "[topic.\"b\"]";
        "[topic.bee]\n[service.a]\ncomponent = 'users.wasm'\npublish = ['be']" =>
            "4:12", "there is no topic `be`", "did you mean `bee`?";
        "[topic.t]\n[service.a]\ncomponent = 'users.wasm'\nsubscribe = [{ topic = 't' }]" =>
            "4:14", "a subscription has no `call`", "add call";
        "[topic.t]\n[service.a]\ncomponent = 'users.wasm'\nsubscribe = [{ topic = 't', call = 'b/f' }]" =>
            "4:36", "`a` subscribes with a function of `b`", "call = \"a/f\"";
        "[topic.t]\n[service.a]\nurls = ['http://a:1']\nsubscribe = [{ topic = 't', call = 'a/f' }]" =>
            "4:36", "`a` has no component", "leave `subscribe` out";
    }
}

#[test]
fn wrong_schedules_are_findings() {
    const START: &str = "[topic.t]\n[service.a]\ncomponent = 'users.wasm'\n[[schedule]]\nname = 's'\n";
    let findings = |text: &str| parse(&format!("{START}{text}"), &[]).unwrap_err().to_string();
    for (text, message, help) in [
        ("call = 'a/f'", "a schedule has either `cron` or `every`", "every = \"15m\""),
        ("call = 'a/f'\ncron = '0 3 * * *'\nevery = '1m'", "a schedule has either `cron` or `every`", "15m"),
        ("every = '1m'", "a schedule has either `call` or `topic`", "call = \"reports/nightly\""),
        ("every = '1m'\ncall = 'a/f'\ntopic = 't'", "a schedule has either `call` or `topic`", "say what it does"),
        ("every = '1m'\ncall = 'b/f'", "there is no service `b`", "`a`"),
        ("every = '1m'\ntopic = 'u'", "there is no topic `u`", "`t`"),
        ("every = '1m'\ncall = 'a/f'\nkey = 'k'", "`key` orders events", "leave it out"),
        ("every = '1ms'\ncall = 'a/f'", "`every` must be a duration of 1s to 366d", "1ms"),
        ("cron = '0 25 * * *'\ncall = 'a/f'", "pattern: the hour is 0 to 23, and not `25`", "minute, hour"),
        ("cron = '0 3 * * MOO'\ncall = 'a/f'", "the day of the week is 0 to 7 or SUN to SAT, and not `MOO`", "minute"),
        ("cron = '* * *'\ncall = 'a/f'", "it has 3 fields, and not five", "minute, hour"),
        ("cron = '0 0 30 2 *'\ncall = 'a/f'", "`cron` is never due", "a day that a month has"),
        ("cron = '0 3 * * *'\ntime_zone = 'Mars'\ncall = 'a/f'", "there is no time zone `Mars`", "Europe/Berlin"),
        ("every = '1m'\ntime_zone = 'UTC'\ncall = 'a/f'", "`time_zone` is that of `cron`", "leave it out"),
        ("every = '1m'\ncall = 'a/f'\ncatch_up = 'one'", "`catch_up` must be", "latest"),
        (
            "every = '1m'\ncall = 'a/f'\n[[schedule]]\nname = 's'\nevery = '1m'\ncall = 'a/f'",
            "two schedules `s`",
            "rename",
        ),
        (
            "every = '1m'\ncall = 'a/f'\n[[schedule]]\nevery = '1m'\ncall = 'a/f'",
            "a schedule has no `name`",
            "add name",
        ),
    ] {
        let found = findings(text).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(found.contains(message) && found.contains(help), "{message}, {help}:\n{found}");
    }
}

#[test]
fn a_key_that_no_event_may_have_is_found_at_the_schedule() {
    let key = "k".repeat(1025);
    let text = format!("[topic.t]\n[[schedule]]\nname = 's'\nevery = '1m'\ntopic = 't'\nkey = '{key}'");
    let found = parse(&text, &[]).unwrap_err().to_string();
    assert!(found.contains("at most 1024 bytes") && found.contains("1025"), "{found}");
    assert!(parse(&text.replacen("'kk", "'k", 1), &[]).is_ok(), "with 1,024 it is right");
}

#[test]
fn the_defaults_are_those_of_the_rooms() {
    let text = "[topic.'orders.placed']\n[service.a]\ncomponent = 'users.wasm'\npublish = ['orders.placed']\n\
                subscribe = [{ topic = 'orders.placed', call = 'a/f' }]";
    let manifest = parse(text, &[]).expect("it is right");
    let [topic] = &manifest.topics[..] else { panic!("one topic") };
    let week = Duration::from_secs(7 * 86_400);
    assert_eq!((topic.name.as_str(), topic.retention), ("orders.placed", Retention { age: week, size: 1 << 30 }));
    assert!(topic.payload.is_none());
    let service = &manifest.services[0];
    assert_eq!(service.topics.subscribe[0].settings, SubscriptionSettings::default());
    assert_eq!((service.spec.grants.storage(), service.topics.subscribe[0].function.as_str()), ((false, true), "f"));
}
