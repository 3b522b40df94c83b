//! What `serve` says when it is ready: where it listens, with which keys, and lines to paste.

use crate::config::{Config, duration_text};
use crate::ready::Ready;
use crate::source::From;
use crate::trial::{TRIAL_WORDS, credentials_path};
use std::fmt::Write;

/// Clients insist on a region; any is taken.
const REGION: &str = "us-east-1";

pub fn greeting(config: &Config, from: &From, ready: &Ready) -> String {
    let mut out = format!("Outlast {} is ready.\n\n", env!("CARGO_PKG_VERSION"));
    let mut line = |name: &str, value: &str| {
        writeln!(out, "  {name:<13} {value}").expect("a String takes what is written to it");
    };
    line("S3 endpoint", &ready.s3);
    line("admin", &format!("http://{}  (/status.json, /metrics, /healthz, /readyz)", ready.admin));
    if let (From::Trial, Some(user)) = (from, config.users.first()) {
        line("access key", &user.access_key);
        line("secret key", user.secret_key.reveal());
        line("keys kept in", &credentials_path(&config.data_dir).display().to_string());
    } else {
        let names: Vec<String> =
            config.users.iter().map(|user| format!("{} ({})", user.access_key, user.name)).collect();
        line("access keys", &names.join(", "));
    }
    for (name, store) in &config.stores {
        line(&format!("store {name}"), &store.kind.place());
    }
    let defaults = &config.defaults;
    let of = format!("{} of {}", defaults.min_copies, defaults.stores.len());
    line(
        "safe when",
        &format!("{of} stores hold it{}", if defaults.spool_counts { " (the spool may stand for one)" } else { "" }),
    );
    out.push('\n');
    if *from == From::Trial {
        out.push_str(&format!("{TRIAL_WORDS}\n`outlast init` writes a configuration for stores of your own.\n"));
    }
    out.push_str(&delete_words(config.undelete_default.window_ms));
    if *from == From::Trial {
        out.push_str(&paste(config, ready));
    }
    out
}

/// What a DELETE means here: nobody should have to find out afterwards.
fn delete_words(window_ms: u64) -> String {
    match window_ms {
        0 => "A DELETE is final: undelete_days is 0.\n".to_owned(),
        window_ms => {
            format!("What is deleted can be brought back for {}: outlast undelete BUCKET\n", duration_text(window_ms))
        }
    }
}

fn paste(config: &Config, ready: &Ready) -> String {
    let Some(user) = config.users.first() else { return String::new() };
    let (s3, access, secret) = (&ready.s3, &user.access_key, user.secret_key.reveal());
    format!(
        "
aws-cli:
  export AWS_ACCESS_KEY_ID={access} AWS_SECRET_ACCESS_KEY={secret}
  export AWS_DEFAULT_REGION={REGION} AWS_ENDPOINT_URL={s3}
  aws s3 mb s3://photos
  aws s3 cp README.md s3://photos/readme.txt

rclone:
  export RCLONE_CONFIG_OUTLAST_TYPE=s3 RCLONE_CONFIG_OUTLAST_PROVIDER=Other
  export RCLONE_CONFIG_OUTLAST_ENDPOINT={s3} RCLONE_CONFIG_OUTLAST_REGION={REGION}
  export RCLONE_CONFIG_OUTLAST_ACCESS_KEY_ID={access} RCLONE_CONFIG_OUTLAST_SECRET_ACCESS_KEY={secret}
  rclone ls outlast:photos

Python:
  import boto3
  s3 = boto3.client(\"s3\", endpoint_url=\"{s3}\", region_name=\"{REGION}\",
                    aws_access_key_id=\"{access}\", aws_secret_access_key=\"{secret}\")
  print(s3.list_objects_v2(Bucket=\"photos\")[\"KeyCount\"])
"
    )
}
