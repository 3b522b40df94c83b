//! Which bucket does a host name mean? Only names below the configured domains mean one; all others are path style.

use s3s::S3Result;
use s3s::host::{S3Host, VirtualHost};

/// s3s's own parsers take any unknown host for a bucket name (CNAME style), so that `localhost` becomes a bucket. Ours does not.
#[derive(Debug, Clone)]
pub struct Domains(Vec<String>);

impl Domains {
    pub fn new(domains: &[String]) -> Domains {
        Domains(domains.iter().map(|domain| without_port(domain).trim_matches('.').to_ascii_lowercase()).collect())
    }
}

impl S3Host for Domains {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let name = without_port(host).trim_end_matches('.').to_ascii_lowercase();
        let bucket = self.0.iter().find_map(|domain| name.strip_suffix(domain.as_str())?.strip_suffix('.'));
        Ok(match bucket {
            Some(bucket) if !bucket.is_empty() => VirtualHost::new(host).with_bucket(bucket.to_owned()),
            _ => VirtualHost::new(host),
        })
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_configured_domains_name_a_bucket() {
        let domains = Domains::new(&["s3.example.com".to_owned(), "other.net:9000".to_owned()]);
        let bucket = |host: &str| {
            let parsed = domains.parse_host_header(host).expect("every host is served");
            parsed.bucket().map(str::to_owned)
        };
        assert_eq!(bucket("photos.s3.example.com"), Some("photos".to_owned()));
        assert_eq!(bucket("a.b.s3.example.com:9000"), Some("a.b".to_owned()));
        assert_eq!(bucket("Photos.Other.Net"), Some("photos".to_owned()));
        for path_style in
            ["s3.example.com", "localhost", "localhost:9000", "xs3.example.com", "example.com", ".other.net"]
        {
            assert_eq!(bucket(path_style), None, "{path_style}");
        }
    }
}
