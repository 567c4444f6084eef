//! The rules by which what guests measure is added up, bounded and written.

use super::*;

fn sample(name: &str, labels: &[(&str, &str)], value: GuestValue) -> GuestSample {
    let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let (name, unit, help) = (name.to_owned(), "{order}".to_owned(), "What was ordered".to_owned());
    GuestSample { name, unit, help, labels, value, since: SampleStart::First }
}

fn counter(value: f64) -> GuestSample {
    sample("orders.placed", &[("paid", "true")], GuestValue::Counter(value))
}

fn hand_over(guests: &GuestMetrics, revision: &str, instance: &mut GuestCounters, sample: &GuestSample) {
    if let Some(news) = instance.news(sample) {
        guests.add("orders", revision, sample, &news);
    }
}

fn text(guests: &GuestMetrics) -> String {
    let mut text = String::new();
    write_guests(&mut text, guests);
    text
}

/// The value of the series with these labels after those of the service.
fn value(guests: &GuestMetrics, revision: &str, rest: &str) -> Option<f64> {
    let labels = format!("{{service=\"orders\",revision=\"{revision}\",{rest}}} ");
    let text = text(guests);
    text.lines().find_map(|line| line.split_once(&labels).map(|(_, value)| value.parse().unwrap()))
}

const PLACED: &str = r#"name="orders.placed",unit="{order}",paid="true""#;

#[test]
fn fresh_instances_and_kept_ones_add_up() {
    let guests = GuestMetrics::default();
    assert_eq!(text(&guests), "", "a host whose guests measure nothing shows nothing");
    // Ten instances, each for one request, and one that is kept for three.
    for _ in 0..10 {
        hand_over(&guests, "aa", &mut GuestCounters::default(), &counter(2.0));
    }
    let mut kept = GuestCounters::default();
    for total in [1.0, 2.0, 5.0] {
        hand_over(&guests, "aa", &mut kept, &counter(total));
    }
    // It began anew without a new instance.
    hand_over(&guests, "aa", &mut kept, &counter(3.0));
    assert_eq!(value(&guests, "aa", PLACED), Some(28.0));
    // Deltas are news by themselves.
    let delta = GuestSample { since: SampleStart::Last, ..counter(1.0) };
    hand_over(&guests, "aa", &mut kept, &delta);
    hand_over(&guests, "aa", &mut kept, &delta);
    assert_eq!(value(&guests, "aa", PLACED), Some(30.0));
    hand_over(&guests, "bb", &mut GuestCounters::default(), &counter(1.0));
    assert_eq!((value(&guests, "aa", PLACED), value(&guests, "bb", PLACED)), (Some(30.0), Some(1.0)));
}

#[test]
fn sums_that_fall_gauges_and_histograms_have_their_own_rules() {
    let guests = GuestMetrics::default();
    let mut one = GuestCounters::default();
    for value in [5.0, 3.0] {
        hand_over(&guests, "aa", &mut one, &sample("open", &[], GuestValue::UpDown(value)));
        hand_over(&guests, "aa", &mut one, &sample("heat", &[], GuestValue::Gauge(value)));
    }
    hand_over(&guests, "aa", &mut GuestCounters::default(), &sample("open", &[], GuestValue::UpDown(-1.0)));
    assert_eq!(value(&guests, "aa", r#"name="open",unit="{order}""#), Some(2.0));
    assert_eq!(value(&guests, "aa", r#"name="heat",unit="{order}""#), Some(3.0));
    let own = |counts: [u64; 3], sum| GuestDistribution { bounds: vec![1.0, 10.0], counts: counts.to_vec(), sum };
    for (instance, counts, sum) in [(&mut one, [1, 0, 0], 0.5), (&mut GuestCounters::default(), [0, 2, 1], 30.0)] {
        let size = |value| sample("size", &[], GuestValue::Histogram(value));
        hand_over(&guests, "aa", instance, &size(own(counts, sum)));
        let more = counts.map(|count| count + 1);
        hand_over(&guests, "aa", instance, &size(own(more, sum + 12.0)));
    }
    let bucket = |le: &str| value(&guests, "aa", &format!("name=\"size\",unit=\"{{order}}\",le=\"{le}\""));
    assert_eq!((bucket("1.0"), bucket("10.0"), bucket("+Inf")), (Some(3.0), Some(7.0), Some(10.0)));
    let sums = text(&guests);
    assert!(
        sums.contains(r#"atoll_guest_histogram_count{service="orders",revision="aa",name="size",unit="{order}"} 10"#)
    );
    assert!(sums.contains(r#"name="size",unit="{order}"} 54.5"#), "{sums}");
    // An exponential histogram gets the host's bounds.
    let mut exponential = GuestDistribution::exponential(3.5);
    exponential.add_below(0.003, 2);
    exponential.add_below(1e9, 1);
    assert!(exponential.is_right() && exponential.count() == 3);
    assert_eq!((exponential.counts[5], exponential.counts[25]), (2, 1));
}

#[test]
fn a_flood_of_series_is_bounded_and_counted() {
    let guests = GuestMetrics::default();
    for request in 0..2_000 {
        let id = format!("{request}");
        let flood = sample(&format!("n{}", request % 4), &[("request", &id)], GuestValue::Counter(1.0));
        hand_over(&guests, "aa", &mut GuestCounters::default(), &flood);
    }
    let lines: Vec<String> = text(&guests).lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
    // 200, one for the overflow of each name, and the count of what was left out.
    assert_eq!(lines.len(), 205);
    let overflow =
        |name| value(&guests, "aa", &format!("name=\"{name}\",unit=\"{{order}}\",otel_metric_overflow=\"true\""));
    assert_eq!((overflow("n0"), overflow("n3")), (Some(450.0), Some(450.0)), "nothing of a sum is lost");
    assert!(lines[0].ends_with("{service=\"orders\",signal=\"points\"} 1800"), "{}", lines[0]);
    // The names are a guest's as well.
    for name in 0..1_000 {
        hand_over(
            &guests,
            "aa",
            &mut GuestCounters::default(),
            &sample(&format!("x{name}"), &[], GuestValue::UpDown(1.0)),
        );
    }
    assert!(text(&guests).lines().filter(|line| !line.starts_with('#')).count() <= 241);
    // One instance with many series.
    let mut one = GuestCounters::default();
    let all = (0..1_000).filter(|n| one.news(&sample(&format!("{n}"), &[], GuestValue::Counter(1.0))).is_some());
    assert_eq!(all.count(), 256);
    // And one with long histograms: those that are remembered go on.
    let mut one = GuestCounters::default();
    let long = |n: u32, count| {
        let bounds: Vec<f64> = (0..31).map(f64::from).collect();
        let counts = vec![count; 32];
        sample(&format!("{n}"), &[], GuestValue::Histogram(GuestDistribution { bounds, counts, sum: 0.0 }))
    };
    assert_eq!((0..1_000).filter(|n| one.news(&long(*n, 1)).is_some()).count(), 2_048 / 63);
    let Some(GuestValue::Histogram(news)) = one.news(&long(0, 3)) else { panic!("it was remembered") };
    assert_eq!(news.counts, [2; 32]);
}

#[test]
fn old_revisions_make_room_for_new_ones() {
    let guests = GuestMetrics::default();
    for revision in 0..1_000 {
        hand_over(&guests, &format!("{revision}"), &mut GuestCounters::default(), &counter(1.0));
    }
    let kept: Vec<_> = ["996", "997", "999"].map(|revision| value(&guests, revision, PLACED)).into();
    assert_eq!(kept, [None, Some(1.0), Some(1.0)]);
    // One that serves on stays, however many canaries come and go.
    for canary in 0..10 {
        hand_over(&guests, "serves", &mut GuestCounters::default(), &counter(1.0));
        hand_over(&guests, &format!("canary-{canary}"), &mut GuestCounters::default(), &counter(1.0));
    }
    assert_eq!(value(&guests, "serves", PLACED), Some(10.0));
    guests.keep(|service| service == "orders");
    assert_eq!(value(&guests, "serves", PLACED), Some(10.0));
    guests.keep(|service| service != "orders");
    assert_eq!(text(&guests), "", "the service is gone");
}

#[test]
fn what_is_no_value_is_left_out_and_no_name_breaks_the_format() {
    let guests = GuestMetrics::default();
    let mut one = GuestCounters::default();
    let wrong = GuestDistribution { bounds: vec![2.0, 1.0], counts: vec![1, 1, 1], sum: 1.0 };
    for value in [GuestValue::Counter(f64::NAN), GuestValue::Counter(-1.0), GuestValue::Histogram(wrong)] {
        assert_eq!(one.news(&sample("wrong", &[], value)), None);
    }
    let odd = sample(
        "a\"} 1\n# EOF",
        &[("1le", "\\\"\n"), ("__name__", "x"), ("le", "1"), ("a-b", "1"), ("a.b", "2")],
        GuestValue::Counter(1.0),
    );
    hand_over(&guests, "aa", &mut one, &odd);
    let text = text(&guests);
    let line = text.lines().last().unwrap();
    assert_eq!(
        line,
        concat!(
            r#"atoll_guest_counter_total{service="orders",revision="aa",name="a\"} 1\n# EOF",unit="{order}","#,
            r#"own_1le="\\\"\n",name__="x",own_le="1",a_b="1",own_a_b="2"} 1.0"#
        )
    );
    assert_eq!(text.lines().count(), 3);
}
