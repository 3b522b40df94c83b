//! What a schedule may say, what it is told when it says something else, and that what is printed reads back.

use super::*;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

fn one_of(text: &str) -> Planned {
    let mut faults = Schedule::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}")).faults;
    assert_eq!(faults.len(), 1, "{text}");
    faults.remove(0)
}

fn body(lines: &str) -> String {
    format!("format = 1\n[[fault]]\nstore = \"b2\"\nat = \"10s\"\nlasts = \"30s\"\n{lines}\n")
}

fn setting_of(lines: &str) -> Setting {
    match one_of(&body(lines)).what {
        What::Setting(setting) => setting,
        other => panic!("{other:?} of {lines}"),
    }
}

#[test]
fn everything_that_can_be_said() {
    let late = Duration::from_secs(5);
    let slow = Trouble::Slow { before: late, after: late * 2, bytes_per_second: Some(1 << 20) };
    for (lines, setting) in [
        ("trouble = \"refuse\"", Setting::all(Trouble::Refuse)),
        ("trouble = \"hang\"", Setting::all(Trouble::Hang(Apply::Never))),
        ("trouble = \"hang\"\napplies = \"after 5s\"", Setting::all(Trouble::Hang(Apply::After(late)))),
        ("trouble = \"hang\"\napplies = \"when it flows\"", Setting::all(Trouble::Hang(Apply::WhenItFlows))),
        ("trouble = \"slow\"\nbefore = \"5s\"\nafter = \"10s\"\nbytes_per_second = \"1MiB\"", Setting::all(slow)),
        ("trouble = \"throttle\"\non = \"writes\"", Setting::on(&Class::WRITES, Trouble::SLOW_DOWN)),
        ("trouble = \"read only\"", Setting::read_only()),
        ("trouble = \"gone\"", Setting::all(Trouble::GONE)),
        ("trouble = \"certificate expired\"", Setting::all(Trouble::NotSent(Fault::Certificate))),
        ("trouble = \"not sent\"\nfault = \"unreachable\"", Setting::all(Trouble::NotSent(Fault::Unreachable))),
        (
            "trouble = \"answer\"\nfault = \"bad_request\"\nstatus = 418\ncode = \"Teapot\"",
            Setting::all(Trouble::Answer { fault: Fault::BadRequest, status: 418, code: "Teapot".into() }),
        ),
        (
            "trouble = \"server error\"\nstatus = 502\napplies = \"at once\"",
            Setting::all(Trouble::ServerError { status: 502, applies: true }),
        ),
        ("trouble = \"cut bodies\"\nafter_bytes = \"64KiB\"", Setting::all(Trouble::CutBodies { after: 65536 })),
        (
            "trouble = \"wrong bytes\"\non = [\"get\"]\nkeys = \"photos/\"\nshare = \"50 %\"\ntimes = 3",
            Setting::on(&[Class::Get], Trouble::WrongBytes).below("photos/").share(500, 0).times(3),
        ),
        (
            "trouble = \"refuse\"\nodds = { part = \"0.5%\", salt = 7 }\nflap = { on = \"2s\", off = \"3s\" }",
            Setting::all(Trouble::Refuse).odds(5, 7).flap(late * 2 / 5, late * 3 / 5),
        ),
    ] {
        assert_eq!(setting_of(lines), setting, "{lines}");
    }
    assert_eq!(one_of(&body("trouble = \"stand still\"")).what, What::StandStill { late: Duration::ZERO });
    let late = one_of(&body("trouble = \"stand still\"\nlate = \"5s\"")).what;
    assert_eq!(late, What::StandStill { late: Duration::from_secs(5) });
    let broken = one_of("format = 1\n[[fault]]\nstore = \"b2\"\nat = \"1m30s\"\ntrouble = \"break off\"\n");
    assert_eq!((broken.at, broken.lasts, broken.what), (Duration::from_secs(90), Duration::ZERO, What::BreakOff));
    assert_eq!(Schedule::parse("format = 1\n").expect("nothing happens").faults, []);
}

#[test]
fn a_mistake_has_its_line_and_says_what_may_stand_there() {
    let check = |text: &str, line: usize, words: &str| {
        let error = Schedule::parse(text).expect_err(text);
        let found = error.0.iter().any(|(at, what)| *at == line && what.contains(words));
        assert!(found, "line {line}: {words} is not in\n{error}\nof\n{text}");
    };
    check("", 1, "format = 1");
    check("format = 2\n", 1, "reads format 1");
    check("format = 1\n[[fault]\n", 2, "this is not TOML");
    check("format = 1\nfaults = []\n", 2, "there is no key \"faults\" here; there is: fault, format");
    check(&body("trouble = \"explode\""), 6, "there is no trouble \"explode\"; there is: refuse, hang, slow");
    check(&body("trouble = \"hang\"\napplies = \"maybe\""), 7, "\"after 10s\"");
    check(&body("trouble = \"hang\"\nbefore = \"1s\""), 7, "there is no key \"before\"");
    check(&body("trouble = \"slow\""), 6, "by how much");
    check(&body("trouble = \"slow\"\nbefore = 5"), 7, "put it into \"quotes\"");
    check(&body("trouble = \"slow\"\nbefore = \"5 min\""), 7, "\"5 min\" is no time");
    check(&body("trouble = \"refuse\"\non = [\"put\"]"), 7, "there is no call \"put\"");
    check(&body("trouble = \"refuse\"\non = [\"get\", \"reads\"]"), 7, "on names get twice");
    check(&body("trouble = \"refuse\"\non = []"), 7, "names no call");
    check(&body("trouble = \"refuse\"\nshare = \"101 %\""), 7, "is no share");
    check(&body("trouble = \"refuse\"\nodds = { salt = 3 }"), 7, "which part?");
    check(&body("trouble = \"refuse\"\ntimes = 0"), 6, "no fault at all");
    check(&body("trouble = \"answer\"\nfault = \"angry\"\nstatus = 403"), 7, "\"angry\" is no fault");
    check(&body("lasts = \"1s\""), 6, "TOML");
    let late = "format = 1\n\n[[fault]]\ntrouble = \"refuse\"\n";
    for words in ["no store", "no at", "no lasts"] {
        check(late, 3, words);
    }
    check(
        "format = 1\n[[fault]]\nstore = \"b2\"\nat = \"25h\"\nlasts = \"1s\"\ntrouble = \"refuse\"\n",
        4,
        "longer than",
    );
    let many = format!("format = 1\n{}", "[[fault]]\n".repeat(FAULTS_MAX + 1));
    check(&many, 2, "at most 1000");
    check(&"#".repeat(SCHEDULE_BYTES_MAX + 1), 1, "at most");
}

fn any_time(chance: &mut SmallRng) -> Duration {
    let unit = *[1, 1_000, 1_000_000, 1_000_000_000, 60_000_000_000].choose(chance).expect("there are some");
    Duration::from_nanos(chance.random_range(0..1_000) * unit)
}

fn any_trouble(chance: &mut SmallRng) -> Trouble {
    let faults = [Fault::NameNotResolved, Fault::Certificate, Fault::Unreachable, Fault::Denied, Fault::NoKey];
    let (fault, applies) = (*faults.choose(chance).expect("there are some"), chance.random_bool(0.5));
    let (status, after) = (chance.random_range(0..1000), chance.random());
    match chance.random_range(0..19) {
        0 => Trouble::Refuse,
        1 => Trouble::NotSent(fault),
        2 => Trouble::Hang(Apply::Never),
        3 => Trouble::Hang(Apply::AtOnce),
        4 => Trouble::Hang(Apply::WhenItFlows),
        5 => Trouble::Hang(Apply::After(any_time(chance))),
        6 => Trouble::Slow {
            before: any_time(chance),
            after: any_time(chance),
            bytes_per_second: applies.then(|| chance.random()),
        },
        7 => Trouble::DENIED,
        8 => Trouble::SLOW_DOWN,
        9 => [Trouble::FULL, Trouble::SKEWED, Trouble::GONE].choose(chance).expect("there are some").clone(),
        10 => Trouble::Answer { fault, status, code: "Odd \"code\" \\ with\ta tab".into() },
        11 => Trouble::FailAfterApplying,
        12 => Trouble::ServerError { status, applies },
        13 => Trouble::BadAnswer { applies },
        14 => Trouble::CutBodies { after },
        15 => Trouble::EndBodies { after },
        16 => Trouble::LateServerError { status, late: any_time(chance) },
        17 => Trouble::Hang(Apply::AfterItFlows(any_time(chance))),
        _ => Trouble::WrongBytes,
    }
}

fn any_planned(chance: &mut SmallRng) -> Planned {
    let store = StoreName::parse(["b2", "nas", "s0"].choose(chance).expect("there are some")).expect("a name");
    let (at, lasts) = (any_time(chance), any_time(chance) + Duration::from_nanos(1));
    match chance.random_range(0..10) {
        0 => return Planned { store, at, lasts, what: What::StandStill { late: any_time(chance) } },
        1 => return Planned { store, at, lasts: Duration::ZERO, what: What::BreakOff },
        _ => {}
    }
    let mut classes: Vec<Class> = Class::ALL.into_iter().filter(|_| chance.random_bool(0.6)).collect();
    match chance.random_range(0..4) {
        0 => classes = Class::ALL.to_vec(),
        1 => classes = Class::WRITES.to_vec(),
        _ if classes.is_empty() => classes = vec![Class::Get],
        _ => classes.rotate_left(1),
    }
    let salt = |chance: &mut SmallRng| if chance.random_bool(0.5) { 0 } else { chance.random() };
    let mut setting = Setting::on(&classes, any_trouble(chance))
        .share(*[0, 1, 305, 1000].choose(chance).expect("there are some"), salt(chance))
        .odds(*[0, 999, 1000].choose(chance).expect("there are some"), salt(chance))
        .below(["", "photos/", "a \"b\" \\ \u{7f}\u{85}é\n"].choose(chance).expect("there are some"));
    if chance.random_bool(0.3) {
        setting = setting.flap(any_time(chance), any_time(chance));
    }
    if chance.random_bool(0.3) {
        setting = setting.times(chance.random_range(1..=u32::MAX));
    }
    Planned { store, at, lasts, what: What::Setting(setting) }
}

#[test]
fn what_is_printed_reads_back_as_the_same() {
    let mut chance = SmallRng::seed_from_u64(1);
    let mut words = std::collections::BTreeSet::new();
    for _ in 0..300 {
        let schedule = Schedule::of((0..10).map(|_| any_planned(&mut chance)).collect());
        words.extend(schedule.faults.iter().map(|planned| planned.what.word()));
        let printed = schedule.to_string();
        let again = Schedule::parse(&printed).unwrap_or_else(|error| panic!("{error}\n{printed}"));
        assert_eq!(again, schedule, "{printed}");
        let lines: Vec<&str> = printed.lines().collect();
        assert!((0..10).all(|n| lines[again.line_of(n) - 1] == "[[fault]]"), "{printed}");
    }
    for word in TROUBLES.split(',').map(str::trim).filter(|word| *word != "read only") {
        assert!(words.contains(word), "\"{word}\" was never printed");
    }
}

#[test]
fn only_what_refuses_hangs_or_slows_is_for_drills() {
    let judged = |lines: &str| one_of(&body(lines)).for_drills().map(|_| ());
    for good in [
        "trouble = \"refuse\"\nshare = \"10 %\"\nodds = \"5 %\"\nflap = { on = \"2s\", off = \"1s\" }\nkeys = \"a\"",
        "trouble = \"hang\"\non = \"reads\"",
        "trouble = \"slow\"\nbefore = \"300ms\"",
        "trouble = \"slow\"\nafter = \"10s\"\nbytes_per_second = \"1KiB\"",
    ] {
        assert_eq!(judged(good), Ok(()), "{good}");
    }
    for (bad, words) in [
        ("trouble = \"wrong bytes\"", "\"wrong bytes\" is for tests: a drill may refuse, hang or slow"),
        ("trouble = \"throttle\"", "\"throttle\" is for tests"),
        ("trouble = \"name does not resolve\"", "is for tests"),
        ("trouble = \"stand still\"", "\"stand still\" is for tests"),
        ("trouble = \"hang\"\napplies = \"at once\"", "no call is applied after it was given up"),
        ("trouble = \"slow\"\nbefore = \"6s\"\nafter = \"6s\"", "10 s at most"),
        ("trouble = \"slow\"\nbytes_per_second = 1000", "1024 bytes per second at least"),
        ("trouble = \"refuse\"\ntimes = 3", "times is for tests"),
    ] {
        let said = judged(bad).expect_err(bad);
        assert!(said.contains(words), "{said}");
    }
}
