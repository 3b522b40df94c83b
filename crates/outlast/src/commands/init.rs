//! `init`: writes a commented configuration, from flags or from what a person answers.

use crate::cli::InitArgs;
use crate::config::{LoadError, Look, Weight, judge_text, plain_words};
use crate::exit::{Ending, Failure};
use crate::keys::{draw_access_key, draw_secret_key, write_private};
use crate::source::FILE_DEFAULT;
use outlast_rules::StoreName;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Stands for the secret while a draft is judged.
const SECRET_LATER: &str = "{ env = \"SET_LATER\" }";

/// A store that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Wish {
    Disk { name: String, path: PathBuf },
    S3 { name: String, endpoint: String, region: String, prefix: String },
    Azure { name: String, account: String, prefix: String },
    Gcs { name: String, credentials: String, prefix: String },
}

impl Wish {
    fn name(&self) -> &str {
        match self {
            Wish::Disk { name, .. } | Wish::S3 { name, .. } | Wish::Azure { name, .. } | Wish::Gcs { name, .. } => name,
        }
    }

    /// The environment variables that hold its keys.
    fn variables(&self) -> Vec<String> {
        let endings: &[&str] = match self {
            Wish::Disk { .. } | Wish::Gcs { .. } => &[],
            Wish::S3 { .. } => &["ACCESS_KEY", "SECRET_KEY"],
            Wish::Azure { .. } => &["ACCOUNT_KEY"],
        };
        let upper = self.name().to_uppercase().replace('-', "_");
        let upper = if upper.starts_with(|c: char| c.is_ascii_digit()) { format!("_{upper}") } else { upper };
        endings.iter().map(|ending| format!("{upper}_{ending}")).collect()
    }
}

pub fn run(args: &InitArgs, named: Option<&Path>) -> Result<Ending, Failure> {
    let path = named.map_or_else(|| PathBuf::from(FILE_DEFAULT), Path::to_owned);
    if path.exists() && !args.force {
        return Err(Failure::usage(format!(
            "{} is there already and is left alone\n    --force overwrites it, --config FILE writes another",
            path.display()
        )));
    }
    let base = path.parent().map(Path::to_owned).unwrap_or_default();
    let wishes = match from_flags(args)? {
        wishes if !wishes.is_empty() => wishes,
        _ if std::io::stdin().is_terminal() => ask(&mut std::io::stdin().lock(), &base)?,
        _ => {
            return Err(Failure::usage(
                "no store was named, and there is no terminal to ask in\n    \
                 outlast init --disk /srv/objects --s3 NAME=ENDPOINT,REGION,BUCKET_PREFIX",
            ));
        }
    };
    // Judged before anything is made.
    judge(&path, &configuration(&wishes, "ACCESS", SECRET_LATER), &base)?;
    let secret_name = format!("{}.secret", path.file_stem().unwrap_or_default().to_string_lossy());
    let text = configuration(&wishes, &draw_access_key(), &format!("{{ file = {secret_name:?} }}"));
    make_secret(&base.join(&secret_name))?;
    let said = judge(&path, &text, &base)?;
    make_folders(&wishes, &base)?;
    write(&path, &text, args.force)?;
    report(&path, &wishes, &said);
    Ok(Ending::Good)
}

fn from_flags(args: &InitArgs) -> Result<Vec<Wish>, Failure> {
    let mut wishes: Vec<Wish> = Vec::new();
    for path in &args.disk {
        let name = disk_name(path, &wishes);
        wishes.push(Wish::Disk { name, path: path.clone() });
    }
    for typed in &args.s3 {
        wishes.push(parse_s3(typed).map_err(|why| Failure::usage(format!("--s3 {typed}: {why}")))?);
    }
    for typed in &args.azure {
        wishes.push(parse_azure(typed).map_err(|why| Failure::usage(format!("--azure {typed}: {why}")))?);
    }
    for typed in &args.gcs {
        wishes.push(parse_gcs(typed).map_err(|why| Failure::usage(format!("--gcs {typed}: {why}")))?);
    }
    Ok(wishes)
}

/// `NAME=ACCOUNT,BUCKET_PREFIX`
fn parse_azure(typed: &str) -> Result<Wish, String> {
    let (name, account, prefix) = three_of(typed).ok_or("write NAME=ACCOUNT,BUCKET_PREFIX")?;
    StoreName::parse(&name).map_err(|error| error.to_string())?;
    Ok(Wish::Azure { name, account, prefix })
}

/// `NAME=CREDENTIALS_FILE,BUCKET_PREFIX`
fn parse_gcs(typed: &str) -> Result<Wish, String> {
    let (name, credentials, prefix) = three_of(typed).ok_or("write NAME=CREDENTIALS_FILE,BUCKET_PREFIX")?;
    StoreName::parse(&name).map_err(|error| error.to_string())?;
    Ok(Wish::Gcs { name, credentials, prefix })
}

/// `NAME=SOMETHING,PREFIX`; the prefix may be missing.
fn three_of(typed: &str) -> Option<(String, String, String)> {
    let (name, rest) = typed.split_once('=')?;
    let (something, prefix) = rest.split_once(',').unwrap_or((rest, ""));
    let (something, prefix) = (something.trim(), prefix.trim());
    let good = !something.is_empty() && !prefix.contains(',');
    good.then(|| (name.to_owned(), something.to_owned(), prefix.to_owned()))
}

/// `NAME=ENDPOINT,REGION,BUCKET_PREFIX`
fn parse_s3(typed: &str) -> Result<Wish, String> {
    const SHAPE: &str = "write NAME=ENDPOINT,REGION,BUCKET_PREFIX";
    let (name, rest) = typed.split_once('=').ok_or(SHAPE)?;
    StoreName::parse(name).map_err(|error| error.to_string())?;
    let mut parts = rest.split(',').map(str::trim);
    let (Some(endpoint), Some(region), prefix, None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(SHAPE.to_owned());
    };
    if endpoint.is_empty() || region.is_empty() {
        return Err(SHAPE.to_owned());
    }
    Ok(Wish::S3 {
        name: name.to_owned(),
        endpoint: endpoint.to_owned(),
        region: region.to_owned(),
        prefix: prefix.unwrap_or_default().to_owned(),
    })
}

/// From the folder's own name where that is a name for a store, else `disk1`, `disk2`.
fn disk_name(path: &Path, taken: &[Wish]) -> String {
    let free = |name: &String| taken.iter().all(|wish| wish.name() != name);
    let own = path.file_name().map(|name| name.to_string_lossy().to_lowercase());
    own.into_iter()
        .filter(|name| StoreName::parse(name).is_ok())
        .chain((1..).map(|n| format!("disk{n}")))
        .find(free)
        .expect("numbers do not end")
}

/// One store after the other; what is wrong with one is said while it can still be answered otherwise.
fn ask(input: &mut impl BufRead, base: &Path) -> Result<Vec<Wish>, Failure> {
    println!(
        "A store is one independent place: a disk, or a bucket at a vendor. Two or more make sense, three are better."
    );
    let mut wishes = Vec::new();
    loop {
        let prompt = if wishes.is_empty() {
            "First store: disk, s3, azure or gcs?"
        } else {
            "Another: disk, s3, azure or gcs? (empty: done)"
        };
        let wish = match answer(input, prompt)?.to_lowercase().as_str() {
            "" if !wishes.is_empty() => return Ok(wishes),
            "disk" => ask_disk(input, &wishes)?,
            "s3" => ask_s3(input)?,
            "azure" => ask_azure(input)?,
            "gcs" => ask_gcs(input)?,
            _ => Err("type disk, s3, azure or gcs".to_owned()),
        };
        match wish.and_then(|wish| fits(&wishes, wish, base)) {
            Ok(wish) => wishes.push(wish),
            Err(why) => println!("  {why}"),
        }
    }
}

fn ask_disk(input: &mut impl BufRead, wishes: &[Wish]) -> Result<Result<Wish, String>, Failure> {
    let typed = answer(input, "  folder:")?;
    if typed.is_empty() {
        return Ok(Err("a disk needs a folder".to_owned()));
    }
    if typed.starts_with('~') {
        return Ok(Err("~ means something to a shell only: write the whole path".to_owned()));
    }
    let path = PathBuf::from(typed);
    Ok(Ok(Wish::Disk { name: disk_name(&path, wishes), path }))
}

fn ask_s3(input: &mut impl BufRead) -> Result<Result<Wish, String>, Failure> {
    let name = answer(input, "  name for it (b2, r2, hetzner …):")?;
    if let Err(error) = StoreName::parse(&name) {
        return Ok(Err(error.to_string()));
    }
    let endpoint = answer(input, "  endpoint (https://…):")?;
    let region = answer(input, "  region (as the vendor calls it; many take auto):")?;
    let prefix = answer(input, "  prefix of its bucket names (acme-; may be empty):")?;
    Ok(Ok(Wish::S3 { name, endpoint, region, prefix }))
}

fn ask_azure(input: &mut impl BufRead) -> Result<Result<Wish, String>, Failure> {
    let name = answer(input, "  name for it (az …):")?;
    let account = answer(input, "  storage account:")?;
    let prefix = answer(input, "  prefix of its container names (acme-; may be empty):")?;
    Ok(parse_azure(&format!("{name}={account},{prefix}")))
}

fn ask_gcs(input: &mut impl BufRead) -> Result<Result<Wish, String>, Failure> {
    let name = answer(input, "  name for it (gcs …):")?;
    let credentials = answer(input, "  JSON file of a service account's key:")?;
    let prefix = answer(input, "  prefix of its bucket names (acme-; may be empty):")?;
    Ok(parse_gcs(&format!("{name}={credentials},{prefix}")))
}

/// The store, if a file with it and those before would be good.
fn fits(wishes: &[Wish], wish: Wish, base: &Path) -> Result<Wish, String> {
    if wishes.iter().any(|other| other.name() == wish.name()) {
        return Err(format!("there is a store {} already: give this one another name", wish.name()));
    }
    let with: Vec<Wish> = wishes.iter().cloned().chain([wish.clone()]).collect();
    let text = configuration(&with, "ACCESS", SECRET_LATER);
    match judge_text("", &text, base.to_owned(), &|_| Some("set-later".to_owned())) {
        Ok(_) => Ok(wish),
        Err(LoadError::NoFile(why)) => Err(why),
        Err(LoadError::Mistakes(findings)) => {
            let errors = findings.mistakes.iter().filter(|mistake| mistake.weight == Weight::Error);
            let words: Vec<String> = errors.map(|mistake| format!("{}: {}", mistake.what, mistake.help)).collect();
            Err(words.join("\n  "))
        }
    }
}

fn answer(input: &mut impl BufRead, prompt: &str) -> Result<String, Failure> {
    print!("{prompt} ");
    let mut line = String::new();
    let read = std::io::stdout().flush().and_then(|()| input.read_line(&mut line));
    match read {
        Ok(0) => Err(Failure { ending: Ending::Interrupted, words: "nothing was written".to_owned() }),
        Ok(_) => Ok(line.trim().to_owned()),
        Err(error) => Err(Failure::usage(format!("the answer cannot be read: {error}"))),
    }
}

fn configuration(wishes: &[Wish], access_key: &str, secret: &str) -> String {
    let mut text = format!(
        r#"# Outlast. Every key with its meaning and default: docs/CONFIGURATION.md; `outlast check` judges this file.

data_dir = "outlast-data"                # ledger, spool: on a disk that survives a restart

[s3]
listen = "127.0.0.1:9000"                # "0.0.0.0:9000" for other machines; then with tls:
# tls = {{ certificate = "cert.pem", key = "key.pem" }}
# domains = ["s3.example.com"]           # bucket.s3.example.com as well as s3.example.com/bucket

[admin]
listen = "127.0.0.1:9001"                # status, metrics, health; it asks nobody who they are

[user.app]                               # one table per access key
access_key = "{access_key}"
secret_key = {secret}
"#
    );
    for wish in wishes {
        text.push_str(&store_text(wish));
    }
    let names: Vec<String> = wishes.iter().map(|wish| format!("{:?}", wish.name())).collect();
    let (min_copies, why) = match wishes.len() {
        1 => (1, "# with one store nothing outlasts it: add a second, then use 2"),
        _ => (2, "# places that must hold a write before it is acknowledged"),
    };
    text.push_str(&format!(
        r#"
[defaults]                               # for every bucket
stores = [{}]
min_copies = {min_copies}                           {why}
spool_counts = true                      # the local spool may stand for one store that can't take a write now

# [bucket.photos]                        # exceptions
# min_copies = 3
"#,
        names.join(", ")
    ));
    text
}

fn store_text(wish: &Wish) -> String {
    match wish {
        Wish::Disk { name, path } => {
            // A debug string is a TOML string for every path that is text.
            format!("\n[store.{name}]\nkind = \"disk\"\npath = {:?}\n", path.display().to_string())
        }
        Wish::S3 { name, endpoint, region, prefix } => {
            let variables = wish.variables();
            let (access, secret, prefix) = (&variables[0], &variables[1], prefix_text(prefix));
            format!(
                "\n[store.{name}]\nkind = \"s3\"\nendpoint = {endpoint:?}\nregion = {region:?}\n\
                 access_key = {{ env = \"{access}\" }}\nsecret_key = {{ env = \"{secret}\" }}\n{prefix}\n\
                 # buckets = {{ photos = \"acme-photos-eu\" }}  # or one by one\n\
                 # price = {{ write_per_1000 = 0.005, read_per_1000 = 0.0004, egress_per_gib = 0.09 }}\n"
            )
        }
        Wish::Gcs { name, credentials, prefix } => gcs_text(name, credentials, prefix),
        Wish::Azure { name, account, prefix } => {
            let (key, prefix) = (&wish.variables()[0], prefix_text(prefix));
            format!(
                "\n[store.{name}]\nkind = \"azure\"\naccount = {account:?}\n\
                 account_key = {{ env = \"{key}\" }}\n{prefix}\n\
                 # buckets = {{ photos = \"acme-photos-eu\" }}  # or one by one\n\
                 # price = {{ write_per_1000 = 0.0065, read_per_1000 = 0.0005, egress_per_gib = 0.087 }}\n"
            )
        }
    }
}

fn gcs_text(name: &str, credentials: &str, prefix: &str) -> String {
    let prefix = prefix_text(prefix);
    format!(
        "\n[store.{name}]\nkind = \"gcs\"\ncredentials = {{ file = {credentials:?} }}\n\
         # location = \"EU\"                       # where buckets are made that are not there yet\n{prefix}\n\
         # buckets = {{ photos = \"acme-photos-eu\" }}  # or one by one\n\
         # price = {{ write_per_1000 = 0.005, read_per_1000 = 0.0004, egress_per_gib = 0.12 }}\n"
    )
}

fn prefix_text(prefix: &str) -> String {
    match prefix {
        "" => "# bucket_prefix = \"acme-\"                # bucket there = prefix + the client's bucket".to_owned(),
        prefix => format!("bucket_prefix = {prefix:?}                  # bucket there = prefix + the client's bucket"),
    }
}

/// Warnings, one per line; what a person answered may still be wrong.
fn judge(path: &Path, text: &str, base: &Path) -> Result<String, Failure> {
    // The variables are set later; here only the rest is judged.
    match judge_text(&path.display().to_string(), text, base.to_owned(), &|_| Some("set-later".to_owned())) {
        Ok(loaded) if loaded.findings.mistakes.is_empty() => Ok(String::new()),
        Ok(loaded) => Ok(loaded.findings.render(Look::Plain)),
        Err(LoadError::NoFile(why)) => Err(Failure::usage(why)),
        Err(LoadError::Mistakes(findings)) => Err(Failure::usage(format!(
            "nothing was written; the file would have mistakes:\n{}",
            findings.render(Look::Plain)
        ))),
    }
}

/// Kept if it is there: its owner may have given it away already.
fn make_secret(path: &Path) -> Result<(), Failure> {
    if path.exists() {
        return Ok(());
    }
    write_private(path, &format!("{}\n", draw_secret_key())).map_err(|error| {
        Failure::cannot_start(format!("{} cannot be written: {}", path.display(), plain_words(&error)))
    })
}

fn make_folders(wishes: &[Wish], base: &Path) -> Result<(), Failure> {
    for wish in wishes {
        if let Wish::Disk { path, .. } = wish {
            fs::create_dir_all(base.join(path)).map_err(|error| {
                Failure::cannot_start(format!("{} cannot be made: {}", path.display(), plain_words(&error)))
            })?;
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str, force: bool) -> Result<(), Failure> {
    let mut open = OpenOptions::new();
    if force {
        open.write(true).create(true).truncate(true)
    } else {
        open.write(true).create_new(true)
    };
    open.open(path).and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| {
        Failure::cannot_start(format!("{} cannot be written: {}", path.display(), plain_words(&error)))
    })
}

fn report(path: &Path, wishes: &[Wish], said: &str) {
    println!("{} is written.", path.display());
    if !said.is_empty() {
        print!("{said}");
    }
    println!("Next:");
    for wish in wishes {
        let keys: Vec<String> = wish.variables().iter().map(|name| format!("{name}=…")).collect();
        if !keys.is_empty() {
            println!("  export {}", keys.join(" "));
        }
    }
    let config = if path == Path::new(FILE_DEFAULT) { String::new() } else { format!(" --config {}", path.display()) };
    println!("  outlast check{config}       # judges the file and tries every store");
    println!("  outlast serve{config}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wishes() -> Vec<Wish> {
        let s3 = parse_s3("b2=https://s3.example.com,eu,acme-").expect("good");
        let azure = parse_azure("az=acmestorage,acme-").expect("good");
        let gcs = parse_gcs("g=app.secret,acme-").expect("good");
        vec![Wish::Disk { name: "nas".into(), path: "/nowhere/\"quoted\"".into() }, s3, azure, gcs]
    }

    #[test]
    fn what_is_written_is_good() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        make_secret(&dir.path().join("app.secret")).expect("written");
        let text = configuration(&wishes(), "ACCESS", "{ file = \"app.secret\" }");
        assert_eq!(
            judge(Path::new("outlast.toml"), &text, dir.path()).map_err(|f| f.words),
            Ok(String::new()),
            "{text}"
        );
        let loaded = judge_text("f", &text, dir.path().to_owned(), &|_| Some("x".into())).expect("good");
        assert_eq!(loaded.config.stores.len(), 4);
        assert_eq!(loaded.config.defaults.min_copies, 2);
    }

    #[test]
    fn flags() {
        let bad = |typed: &str| parse_s3(typed).expect_err(typed);
        assert_eq!(bad("b2"), "write NAME=ENDPOINT,REGION,BUCKET_PREFIX");
        assert_eq!(bad("b2=https://x"), "write NAME=ENDPOINT,REGION,BUCKET_PREFIX");
        assert!(bad("B2=https://x,r").contains("store name"));
        assert_eq!(parse_s3("b2=https://x,r"), parse_s3("b2=https://x,r,"));
        let taken = [Wish::Disk { name: "objects".into(), path: "/a".into() }];
        assert_eq!(disk_name(Path::new("/mnt/Objects"), &taken), "disk1");
        assert_eq!(disk_name(Path::new("/mnt/usb"), &taken), "usb");
        let odd = parse_s3("1-eu=https://x,r").expect("good");
        assert_eq!(odd.variables(), ["_1_EU_ACCESS_KEY", "_1_EU_SECRET_KEY"]);
        let bad = |typed: &str| parse_azure(typed).expect_err(typed);
        assert_eq!([bad("az"), bad("az="), bad("az=acme,a,b")], ["write NAME=ACCOUNT,BUCKET_PREFIX"; 3]);
        assert_eq!(parse_azure("az=acme").expect("good").variables(), ["AZ_ACCOUNT_KEY"]);
        assert_eq!(parse_gcs("g=").expect_err("no file"), "write NAME=CREDENTIALS_FILE,BUCKET_PREFIX");
        assert_eq!(parse_gcs("g=key.json").expect("good").variables(), [""; 0]);
    }

    #[test]
    fn answers() {
        let base = tempfile::tempdir().expect("a temporary folder");
        fs::write(base.path().join("key.json"), "{}").expect("written");
        let mut input =
            "what\nDisk\n/srv/a\ns3\nb2\nhttps://x\nr\n\nazure\naz\nacme\n\ngcs\ng\nkey.json\n\n\n".as_bytes();
        let wishes = ask(&mut input, base.path()).expect("answered");
        assert_eq!(wishes.len(), 4);
        assert_eq!(wishes[3], parse_gcs("g=key.json").expect("good"));
        assert_eq!(wishes[1], parse_s3("b2=https://x,r").expect("good"));
        assert_eq!(wishes[2], parse_azure("az=acme").expect("good"));
        let cut = ask(&mut "disk\n".as_bytes(), base.path()).expect_err("the input ended");
        assert_eq!(cut.ending, Ending::Interrupted);
    }

    /// A wrong answer costs one store, not all that were answered before.
    #[test]
    fn wrong_answers_are_asked_again() {
        let base = tempfile::tempdir().expect("a temporary folder");
        for wrong in [
            "disk\n\n",
            "disk\n~/objects\n",
            "disk\na\n",
            "disk\n./a\n",
            "disk\na/in\n",
            "s3\nB2\n",
            "s3\na\nhttps://x.example.com\nr\n\n",
            "s3\nb2\nnonsense\nr\n\n",
            "s3\nb2\n\nr\n\n",
            "gcs\ng\nno-such-file.json\n\n",
        ] {
            let typed = format!("disk\na\n{wrong}disk\nb\n\n");
            let wishes =
                ask(&mut typed.as_bytes(), base.path()).unwrap_or_else(|failure| panic!("{wrong:?}: {failure}"));
            let names: Vec<&str> = wishes.iter().map(Wish::name).collect();
            assert_eq!(names, ["a", "b"], "{wrong:?}");
        }
    }

    #[test]
    fn a_file_with_mistakes_leaves_nothing_behind() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let args = InitArgs {
            disk: vec![dir.path().join("a"), dir.path().join("a/in")],
            s3: vec![],
            azure: vec![],
            gcs: vec![],
            force: false,
        };
        let failure = run(&args, Some(&dir.path().join("outlast.toml"))).expect_err("one folder in the other");
        assert!(failure.words.starts_with("nothing was written"), "{failure}");
        assert_eq!(fs::read_dir(dir.path()).expect("readable").count(), 0);
    }
}
