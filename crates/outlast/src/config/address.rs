//! Where to listen, as people write it: the same in the file and behind `--listen`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// An IP address and a port, or `localhost` and a port.
///
/// # Errors
/// It is neither; in words, what to write instead. `usual`: what stands there if nobody writes anything.
pub fn parse_listen(text: &str, usual: SocketAddr) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    if let Some(port) = text.strip_prefix("localhost:").and_then(|port| port.parse().ok()) {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    let port = text.trim_start_matches(':').parse::<u16>();
    Err(match (text.parse::<IpAddr>(), port) {
        (Ok(IpAddr::V6(ip)), _) => format!("add the port: \"[{ip}]:{}\"", usual.port()),
        (Ok(ip), _) => format!("add the port: \"{ip}:{}\"", usual.port()),
        (_, Ok(port)) => format!("add the address: \"127.0.0.1:{port}\" for this machine, \"0.0.0.0:{port}\" for all"),
        _ => format!("write an IP address and a port: \"{usual}\""),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let usual: SocketAddr = "127.0.0.1:9000".parse().expect("an address");
        let check = |text: &str, says: &str| match parse_listen(text, usual) {
            Ok(address) => assert_eq!(address.to_string(), says, "{text}"),
            Err(help) => assert!(help.contains(says), "{text}: {help}"),
        };
        check("localhost:9000", "127.0.0.1:9000");
        check("localhost:0", "127.0.0.1:0");
        check("[::1]:7", "[::1]:7");
        check("0.0.0.0:80", "0.0.0.0:80");
        check("localhost", "write an IP address and a port");
        check("localhost:http", "write an IP address and a port");
        check("s3.example.com:9000", "write an IP address and a port");
        check("9000", "\"127.0.0.1:9000\" for this machine");
        check(":7000", "\"127.0.0.1:7000\" for this machine");
        check("10.0.0.1", "add the port: \"10.0.0.1:9000\"");
        check("::1", "add the port: \"[::1]:9000\"");
    }
}
