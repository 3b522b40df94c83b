//! One check: a text in, everything that is said about it out.

use super::*;
use outlast_rules::{Allowed, Undelete};
use std::path::PathBuf;

fn findings(text: &str) -> Findings {
    let env = |name: &str| matches!(name, "KEY" | "SECRET").then(|| "sufficiently-long".to_owned());
    match judge_text("outlast.toml", text, PathBuf::from("/nowhere"), &env) {
        Ok(loaded) => loaded.findings,
        Err(LoadError::Mistakes(findings)) => findings,
        Err(LoadError::NoFile(why)) => panic!("no file is read here: {why}"),
    }
}

/// What is said, one line each: `line: weight: what | help`.
fn check(text: &str, want: &[&str]) {
    let found = findings(text);
    let said: Vec<String> = found
        .mistakes
        .iter()
        .map(|m| {
            let weight = if m.weight == Weight::Error { "error" } else { "warning" };
            format!("{}: {weight}: {} | {}", found.line_of(m.span.start), m.what, m.help)
        })
        .collect();
    assert_eq!(said, want, "\n{}", found.render(Look::Plain));
}

const USER: &str = "[user.app]\naccess_key = { env = \"KEY\" }\nsecret_key = { env = \"SECRET\" }\n";

/// A user and two s3 stores of different vendors, then `more` from line 16 on.
fn with_two(more: &str) -> String {
    let store = |name: &str| {
        format!(
            "[store.{name}]\nkind = \"s3\"\nregion = \"r\"\nendpoint = \"https://{name}.example.com\"\n\
             access_key = \"K\"\nsecret_key = {{ env = \"SECRET\" }}\n"
        )
    };
    format!("{USER}{}{}{more}", store("one"), store("two").trim_end_matches('\n').to_owned() + "\n")
}

fn good(text: &str) -> Config {
    match judge_text("outlast.toml", text, PathBuf::from("/base"), &|_| Some("sufficiently-long".to_owned())) {
        Ok(loaded) => loaded.config,
        Err(LoadError::Mistakes(findings)) => panic!("{}", findings.render(Look::Plain)),
        Err(LoadError::NoFile(why)) => panic!("{why}"),
    }
}

#[test]
fn defaults_are_what_the_documentation_says() {
    let config = good(&with_two(""));
    assert_eq!(config.data_dir, PathBuf::from("/base/outlast-data"));
    assert_eq!(config.s3.listen.to_string(), "127.0.0.1:9000");
    assert_eq!(config.admin.to_string(), "127.0.0.1:9001");
    assert_eq!(config.defaults.min_copies, 2);
    assert!(config.defaults.spool_counts);
    assert_eq!(config.undelete_default, Undelete { window_ms: 7 * 24 * 3600 * 1000, overwrites: true });
    assert_eq!(config.users[0].delete_budget, None);
    let stores: Vec<&str> = config.defaults.stores.iter().map(|store| store.as_str()).collect();
    assert_eq!(stores, ["one", "two"]);
    assert_eq!((config.body_memory_max, config.spool_max), (64 << 20, 10 << 30));
    assert_eq!(config.timeouts, Timeouts::default());
}

#[test]
fn the_whole_example_is_good() {
    let config = good(
        r#"
data_dir = "elsewhere"
[s3]
listen = "localhost:7000"
domains = ["S3.example.com"]
cors = ["*"]
[admin]
listen = "[::1]:7001"
[user.app]
access_key = "APP"
secret_key = { env = "APP_SECRET" }
[store.nas]
kind = "disk"
path = "/nowhere/objects"
network_fs = true
[store.b2]
kind = "s3"
endpoint = "HTTPS://S3.example.com:443/"
region = "r"
access_key = { env = "B2_KEY" }
secret_key = { env = "B2_SECRET" }
session_token = { env = "T" }
bucket_prefix = "acme-"
buckets = { photos = "acme-photos-eu" }
path_style = false
settle_time = "20m"
metered = true
price = { write_per_1000 = 0.004, read_per_1000 = 1, egress_per_gib = 0.01 }
[defaults]
stores = ["nas", "b2"]
min_copies = 2
spool_counts = true
[bucket.photos]
min_copies = 1
[timeouts]
connect = "1s"
first_byte = "2s"
idle = "3s"
request = "4s"
commit = "5s"
[memory]
bodies = "32MiB"
[spool]
max = "1GiB"
[canary]
every = "30s"
[log]
format = "json"
filter = "debug"
"#,
    );
    let b2 = &config.stores[&outlast_rules::StoreName::parse("b2").expect("a name")];
    let StoreKind::S3(s3) = &b2.kind else { panic!("b2 is an s3 store") };
    assert_eq!(s3.endpoint, "https://s3.example.com");
    assert!(!s3.path_style);
    assert_eq!(b2.settle_ms, Some(20 * 60 * 1000));
    assert_eq!(b2.price.read_per_1000, Some(1.0));
    assert_eq!(config.s3.listen.to_string(), "127.0.0.1:7000");
    assert_eq!(config.s3.domains, ["s3.example.com"]);
    assert_eq!(config.buckets.values().next().map(|placement| placement.min_copies), Some(1));
    let shown = format!("{config:?}");
    assert!(shown.contains("secret_key: ***"), "{shown}");
    // Once: the access key of b2, which comes from the environment too and is no secret.
    assert_eq!(shown.matches("sufficiently-long").count(), 1, "{shown}");
}

/// Pasted as it stands there.
#[test]
fn the_example_of_the_readme_is_good() {
    let readme = include_str!("../../../../README.md");
    let (_, rest) = readme.split_once("```toml\n").expect("an example");
    let (example, _) = rest.split_once("```").expect("its end");
    let config = good(example);
    assert_eq!(config.defaults.stores.len(), 3);
}

#[test]
fn what_is_kept_and_what_is_read_again() {
    let config = good(&with_two(
        "deep_scrub = { bytes_per_day = \"20GiB\", money_per_day = 0.5 }\n\
         [defaults]\nundelete_days = 30\n[bucket.photos]\nundelete_overwrites = false\n",
    ));
    let month = 30 * 24 * 3600 * 1000;
    assert_eq!(config.undelete_default, Undelete { window_ms: month, overwrites: true });
    assert_eq!(config.undelete.values().collect::<Vec<_>>(), [&Undelete { window_ms: month, overwrites: false }]);
    let scrubbed: Vec<Allowed> = config.stores.values().map(|store| store.deep_scrub).collect();
    let allowed = Allowed { bytes_a_day: Some(20 << 30), money_a_day: Some(0.5), ..Allowed::default() };
    assert_eq!(scrubbed, [Allowed::default(), allowed]);
}

#[test]
fn an_empty_file() {
    check(
        "",
        &[
            "1: error: no store is configured | add [store.NAME] with kind = \"disk\", \"s3\", \"azure\" or \"gcs\"; two or more make sense",
            "1: error: no user is configured: nobody could sign a request | add [user.app] with access_key = \"APP\" and secret_key = { env = \"APP_SECRET\" }",
        ],
    );
}

#[test]
fn unknown_keys_and_shapes() {
    check(
        &with_two("[store.nas]\nkind = \"disk\"\npth = \"/nowhere/x\"\nendpoint = 3\n[defualts]\n"),
        &[
            "16: error: [store.nas] has no path | add: path = \"/srv/objects\"",
            "18: error: [store.nas] has no key \"pth\" | did you mean \"path\"?",
            "19: error: [store.nas] has no key \"endpoint\" | \"endpoint\" belongs to stores of kind \"s3\", \"azure\" and \"gcs\"",
            "20: error: there is no key or section \"defualts\" | did you mean \"defaults\"?",
        ],
    );
    check(
        &with_two("[defaults]\nmin_copies = \"2\"\nspool_counts = 1\nstores = \"one\"\n"),
        &[
            "17: error: [defaults] min_copies is a whole number from 0 up, not a string | write it without quotes",
            "18: error: [defaults] spool_counts is true or false, not an integer | write true or false, without quotes",
            "19: error: [defaults] stores is a list of texts, not a string | write [\"one\", \"two\"]",
        ],
    );
    check(
        &with_two("[store.x]\nkind = \"dsk\"\n[store.y]\npath = \"/nowhere/y\"\n"),
        &[
            "17: error: [store.x] kind \"dsk\" is not known | did you mean \"disk\"?",
            "18: error: [store.y] has no kind | add: kind = \"disk\"",
        ],
    );
}

#[test]
fn azure_stores() {
    let config =
        good(&with_two("[store.az]\nkind = \"azure\"\naccount = \"acme\"\naccount_key = { env = \"SECRET\" }\n"));
    let az = &config.stores[&outlast_rules::StoreName::parse("az").expect("a name")];
    let StoreKind::Azure(azure) = &az.kind else { panic!("az is an azure store") };
    assert_eq!(azure.endpoint, "https://acme.blob.core.windows.net");
    assert_eq!((az.kind.place().as_str(), azure.path_style), ("azure https://acme.blob.core.windows.net", false));
    assert!(!format!("{config:?}").contains("account_key: \"sufficiently-long\""), "a secret");
    check(
        &with_two(
            "[store.az]\nkind = \"azure\"\naccount = \"Acme.blob\"\nregion = \"r\"\n\
             [store.x]\nkind = \"azure\"\n[store.y]\naccount = \"acme\"\n",
        ),
        &[
            "16: error: [store.az] has no account_key | add: account_key = { env = \"NAME\" }",
            "18: error: [store.az] account \"Acme.blob\" is no name of a storage account | 3 to 24 lower-case letters and digits; no address",
            "19: error: [store.az] has no key \"region\" | \"region\" belongs to stores of kind \"s3\"",
            "20: error: [store.x] has no account | add: account = \"the storage account's name\"",
            "20: error: [store.x] has no account_key | add: account_key = { env = \"NAME\" }",
            "22: error: [store.y] has no kind | add: kind = \"azure\"",
        ],
    );
    let twins = |rest: &str| {
        let store = |name: &str, account: &str, rest: &str| {
            format!(
                "[store.{name}]\nkind = \"azure\"\naccount = \"{account}\"\naccount_key = {{ env = \"SECRET\" }}\n{rest}"
            )
        };
        let emulator = "endpoint = \"http://127.0.0.1:1\"\npath_style = true\n";
        let others = store("c", "acme", emulator) + &store("d", "acme2", emulator);
        with_two(&(store("a", "acme", "") + &store("b", "acme", rest) + &others))
    };
    check(
        &twins(""),
        &[
            "22: error: [store.b] and [store.a] are the same place: https://acme.blob.core.windows.net with no bucket_prefix | two stores need different buckets at least; better, different vendors",
        ],
    );
    check(
        &twins("bucket_prefix = \"b-\"\n"),
        &[
            "22: warning: [store.b] and [store.a] have one endpoint, https://acme.blob.core.windows.net | they fail together: two independent places are two vendors or regions",
        ],
    );
}

#[test]
fn gcs_stores() {
    let config = good(&with_two(
        "[store.g]\nkind = \"gcs\"\ncredentials = { env = \"SECRET\" }\nlocation = \"EU\"\n\
         [store.e]\nkind = \"gcs\"\nendpoint = \"http://127.0.0.1:4443\"\nproject = \"p\"\n",
    ));
    let kind = |name: &str| {
        let store = &config.stores[&outlast_rules::StoreName::parse(name).expect("a name")];
        let StoreKind::Gcs(gcs) = &store.kind else { panic!("{name} is a gcs store") };
        (store.kind.place(), gcs.credentials.is_some(), gcs.project.clone(), gcs.location.clone())
    };
    let google = "gcs https://storage.googleapis.com".to_owned();
    assert_eq!(kind("g"), (google, true, None, Some("EU".to_owned())));
    assert_eq!(kind("e"), ("gcs http://127.0.0.1:4443".to_owned(), false, Some("p".to_owned()), None));
    check(
        &with_two(
            "[store.g]\nkind = \"gcs\"\nproject = \"p\"\naccount = \"a\"\n\
             [store.e]\nkind = \"gcs\"\nendpoint = \"http://localhost:1\"\n\
             [store.x]\ncredentials = { env = \"SECRET\" }\n",
        ),
        &[
            "16: error: [store.g] has no credentials | add: credentials = { file = \"service-account.json\" }",
            "19: error: [store.g] has no key \"account\" | \"account\" belongs to stores of kind \"azure\"",
            "20: error: [store.e] has no project | add: project = \"the project's id\"",
            "23: error: [store.x] has no kind | add: kind = \"gcs\"",
        ],
    );
}

#[test]
fn broken_toml_is_told_alone() {
    let found = findings("[s3\nlisten = \n");
    assert!(found.count(Weight::Error) >= 1);
    assert!(found.mistakes.iter().all(|m| m.what.starts_with("this is not TOML: ")), "{}", found.render(Look::Plain));
}

#[test]
fn placements() {
    check(
        &with_two("[defaults]\nmin_copies = 4\nstores = [\"one\", \"two\"]\n"),
        &["17: error: [defaults] min_copies 4 exceeds its 2 stores | use min_copies = 2, or add stores"],
    );
    check(
        &with_two("[bucket.photos]\nstores = [\"one\", \"tow\", \"one\"]\n[bucket.Big]\nmin_copies = 0\n"),
        &[
            "17: error: [bucket.photos] stores names \"tow\", but there is no [store.tow] | did you mean \"two\"?",
            "17: error: [bucket.photos] stores names one twice | one copy per store: name it once",
            "18: error: [bucket.Big] a bucket name holds lower-case letters, digits, '-' and '.', and starts and ends with a letter or digit (see character 0) | rename it",
            "19: error: [bucket.Big] min_copies is 0 | a write that stands nowhere is lost: use 2",
        ],
    );
    check(
        &with_two("[defaults]\nmin_copies = 1\n[bucket.photos]\nspool_counts = false\nmin_copies = 2\n"),
        &[
            "17: warning: [defaults] min_copies is 1: a write is acknowledged when one store holds it | whoever loses that store loses what the others have not got yet: use 2",
            "20: warning: [bucket.photos] min_copies is the number of its stores and the spool does not count | one store away refuses every write: add a store, or spool_counts = true",
        ],
    );
}

#[test]
fn secrets() {
    let text = with_two(
        "[user.b]\naccess_key = { env = \"KEY\" }\nsecret_key = \"plainplain\"\n[user.c]\naccess_key = { env = \"NONE\" }\nsecret_key = { file = \"none\" }\n[user.d]\naccess_key = {}\n",
    );
    check(
        &text,
        &[
            "17: error: [user.b] has the access key of [user.app] | an access key names one user: choose another",
            "18: warning: [user.b] secret_key is written into this file in plain | use { env = \"NAME\" } or { file = \"path\" }, and this file holds no secret",
            "20: error: [user.c] access_key: the environment variable NONE is not set | export NONE=… before the start, or use { file = \"…\" }",
            "21: error: [user.c] secret_key: /nowhere/none cannot be read: No such file or directory | paths are taken from the folder of this file",
            "22: error: [user.d] has no access_key | add: access_key = { env = \"NAME\" }",
            "22: error: [user.d] has no secret_key | add: secret_key = { env = \"NAME\" }",
            "23: error: [user.d] access_key needs exactly one of env and file | write { env = \"NAME\" } or { file = \"path\" }",
        ],
    );
}

#[test]
fn a_file_that_never_ends_is_no_secret() {
    let file = "{ file = \"/dev/zero\" }";
    let text = with_two(&format!("[user.b]\naccess_key = \"B\"\nsecret_key = {file}\n"));
    let Err(LoadError::Mistakes(told)) =
        judge_text("outlast.toml", &text, PathBuf::new(), &|_| Some("long-enough".into()))
    else {
        panic!("it is no configuration")
    };
    let said = told.render(Look::Plain);
    assert!(said.contains("secret_key: /dev/zero cannot be read: it holds more than 65536 bytes"), "{said}");
}

#[test]
fn a_secret_file_open_to_all_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = dir.path().join("secret");
    let text = with_two("[user.b]\naccess_key = \"B\"\nsecret_key = { file = \"secret\" }\n");
    let load = |mode: u32, body: &str| {
        std::fs::write(&file, body).expect("written");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("mode set");
        judge_text("f", &text, dir.path().to_owned(), &|_| Some("sufficiently-long".into()))
    };
    let closed = load(0o600, "long-enough\n").expect("good");
    assert_eq!(closed.findings.mistakes, []);
    assert_eq!(closed.config.users[1].secret_key.reveal(), "long-enough");
    let open = load(0o644, "long-enough\n").expect("good");
    assert!(open.findings.mistakes[0].what.contains("everybody on this machine can read"));
    assert!(matches!(load(0o600, "\n"), Err(LoadError::Mistakes(_))));
}

#[test]
fn one_place_twice() {
    let disks = |a: &str, b: &str| {
        format!("{USER}[store.a]\nkind = \"disk\"\npath = \"{a}\"\n[store.b]\nkind = \"disk\"\npath = \"{b}\"\n")
    };
    check(
        &disks("/nowhere/x", "/nowhere/./x/"),
        &[
            "9: error: [store.b] and [store.a] are the same folder, /nowhere/x | a second copy in one folder is no second copy: name another disk",
        ],
    );
    check(
        &disks("/nowhere/x", "/nowhere/x/y"),
        &[
            "9: error: the folder of [store.b] lies inside the folder of [store.a] | its files would be listed as the other's objects: put them side by side",
        ],
    );
    check(
        &disks("/nowhere/x", "/nowhere/y"),
        &[
            "9: warning: [store.b] and [store.a] lie on one file system | they fail together: good for a trial, not two independent places",
        ],
    );
    check(&disks("/nowhere/x", "/proc/y"), &[]);
    check(
        &disks("/proc/x", "/nowhere"),
        &[
            "9: error: data_dir /nowhere/outlast-data lies inside the folder of [store.b] | the ledger would be listed as an object: put them side by side",
        ],
    );
    check(
        &with_two(
            "[store.again]\nkind = \"s3\"\nregion = \"r\"\nendpoint = \"https://ONE.example.com:443/\"\naccess_key = \"K\"\nsecret_key = { env = \"SECRET\" }\n",
        ),
        &[
            "19: error: [store.again] and [store.one] are the same place: https://one.example.com with no bucket_prefix | two stores need different buckets at least; better, different vendors",
        ],
    );
    check(
        &with_two(
            "[store.again]\nkind = \"s3\"\nregion = \"r\"\nendpoint = \"https://one.example.com\"\nbucket_prefix = \"b-\"\naccess_key = \"K\"\nsecret_key = { env = \"SECRET\" }\n",
        ),
        &[
            "19: warning: [store.again] and [store.one] have one endpoint, https://one.example.com | they fail together: two independent places are two vendors or regions",
        ],
    );
}

#[test]
fn endpoints() {
    let store = |endpoint: &str| {
        with_two(&format!(
            "[store.x]\nkind = \"s3\"\nregion = \"r\"\naccess_key = \"K\"\nsecret_key = {{ env = \"SECRET\" }}\nendpoint = \"{endpoint}\"\n"
        ))
    };
    check(
        &store("s3.example.org"),
        &["21: error: [store.x] endpoint \"s3.example.org\" has no scheme | write \"https://s3.example.org\""],
    );
    check(
        &store("ftp://s3.example.org"),
        &["21: error: [store.x] endpoint has the scheme ftp | write \"https://s3.example.org\""],
    );
    check(
        &store("https://s3.example.org/photos"),
        &[
            "21: error: [store.x] endpoint \"https://s3.example.org/photos\" holds more than a host | write only scheme, host and port: \"https://s3.example.org\"; buckets go into bucket_prefix or buckets",
        ],
    );
    check(
        &store("http://s3.example.org"),
        &[
            "21: warning: [store.x] endpoint is plain http: keys are safe, bytes and names are not | write \"https://s3.example.org\" where the store has it",
        ],
    );
    check(&store("http://127.0.0.1:5000"), &[]);
    check(&store("http://[::1]:5000"), &[]);
}

#[test]
fn delete_budgets() {
    let with = |lines: &str| with_two("").replacen("[store.one]", &format!("{lines}\n[store.one]"), 1);
    let config = good(&with("delete_budget = 5\ndelete_budgets = { \"photos/tmp/\" = 50_000, \"logs/\" = 0 }"));
    let below = [("photos/tmp/".to_owned(), 50_000), ("logs/".to_owned(), 0)].into();
    assert_eq!((config.users[0].delete_budget, &config.users[0].delete_budgets), (Some(5), &below));
    check(
        &with("delete_budgets = { \"photos\" = 1, \"/tmp/\" = 1, \"logs/\" = \"many\" }"),
        &[
            "4: error: [user.app] delete_budgets \"photos\" has no slash: it would count for other buckets too | write \"photos/\"",
            "4: error: [user.app] delete_budgets \"/tmp/\": a bucket name has 3 to 63 letters, this one has 0 | write BUCKET/ or BUCKET/PREFIX/, as in \"photos/tmp/\" = 50000",
            "4: error: [user.app] delete_budgets is a table of whole numbers from 0 up, not a string | write them without quotes",
        ],
    );
}

#[test]
fn addresses_times_and_the_rest() {
    check(
        &format!(
            "[s3]\nlisten = \":9000\"\ntls = {{ certificate = \"c.pem\" }}\ncors = [\"example.com\"]\n[admin]\nlisten = \"0.0.0.0:9000\"\n{}",
            with_two("")
        ),
        &[
            "2: error: [s3] listen \":9000\" is not an address | add the address: \"127.0.0.1:9000\" for this machine, \"0.0.0.0:9000\" for all",
            "3: error: [s3] tls needs both certificate and key | tls = { certificate = \"cert.pem\", key = \"key.pem\" }",
            "4: error: [s3] cors: \"example.com\" is not an origin | write it as \"https://app.example.com\" without a path, or \"*\"",
            "6: error: [s3] and [admin] both listen on port 9000 | give [admin] another: \"127.0.0.1:9001\"",
            "6: warning: [admin] listen can be reached from other machines, and asks nobody who they are | use \"127.0.0.1:9001\", or let a firewall or proxy guard it",
        ],
    );
    check(
        &with_two(
            "settle_time = \"15\"\n[timeouts]\nrequest = \"10s\"\nidle = \"20s\"\nconnect = 3\n[memory]\nbodies = \"1MiB\"\n[canary]\nevery = \"1ms\"\n[spool]\npath = \"x\"\n[log]\nformat = \"jsn\"\n",
        ),
        &[
            "16: error: [store.two] settle_time is a time like \"15m\", not \"15\" | 15 what? write \"15s\" for seconds, \"15m\" for minutes",
            "19: error: [timeouts] idle is longer than request, which ends the call before | make it shorter, or request longer",
            "20: error: [timeouts] connect is a time like \"15m\", not 3 | 3 what? write \"3s\" for seconds, \"3m\" for minutes",
            "22: error: [memory] bodies is less than 16MiB | one body of 16 MiB must fit",
            "24: error: [canary] every is less than 1s | leave it out: 60s where requests cost money",
            "26: error: [spool] has no key \"path\" | there is: max",
            "28: error: [log] format \"jsn\" is not known | did you mean \"json\"?",
        ],
    );
    check(
        &with_two("settle_time = \"1m\"\n"),
        &[
            "16: error: [store.two] settle_time is shorter than a request may live | a late call could overwrite what it no longer guards: at least [timeouts] request (10m)",
        ],
    );
    check(
        &with_two("deep_scrub = { money_per_day = 0.5 }\n"),
        &[
            "16: warning: [store.two] deep_scrub money_per_day limits nothing: no price is known here | add price = { read_per_1000 = 0.0004, egress_per_gib = 0.09 }, or use bytes_per_day",
        ],
    );
    check(&with_two("deep_scrub = { money_per_day = 0.5 }\nprice = { egress_per_gib = 0.09 }\n"), &[]);
}

#[test]
fn both_looks_name_file_and_line() {
    let found = findings(&with_two("[defaults]\nmin_copies = 4\n"));
    let plain = found.render(Look::Plain);
    assert!(plain.starts_with("outlast.toml: 1 mistake\noutlast.toml:17: error: "), "{plain}");
    let fancy = found.render(Look::Fancy);
    assert!(fancy.contains("outlast.toml:17:14"), "{fancy}");
    assert!(fancy.contains("min_copies = 4"), "{fancy}");
}
