//! Topics and subscriptions: what a manifest can get wrong about them, and their defaults.

use super::{cases, parse};
use crate::delivery::SubscriptionSettings;
use crate::events::Retention;
use std::time::Duration;

#[test]
fn wrong_topics_and_subscriptions_are_findings() {
    cases! {
        "[topic.Orders]" => "1:8", "`Orders` is no topic name", "rename it";
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
