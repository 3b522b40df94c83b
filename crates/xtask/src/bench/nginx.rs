//! nginx as a plain proxy in front of one store: what any proxy costs on this machine.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

const START_WAIT: Duration = Duration::from_secs(5);

/// Dropped, it is ended.
pub struct Nginx {
    child: Child,
    pub address: String,
}

impl Nginx {
    /// One process, connections kept on both sides, nothing buffered to a file.
    pub async fn start(dir: &Path, store: &str) -> Result<Nginx, String> {
        fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        let address = free_address()?;
        let config = dir.join("nginx.conf");
        fs::write(&config, text(dir, &address, store)).map_err(|error| format!("{}: {error}", config.display()))?;
        let child = Command::new("nginx")
            .arg("-c")
            .arg(&config)
            .arg("-e")
            .arg(dir.join("error.log"))
            .stdin(Stdio::null())
            .spawn()
            .map_err(|error| format!("nginx can't be started ({error}): apt-get install nginx"))?;
        let nginx = Nginx { child, address };
        let begun = Instant::now();
        while TcpStream::connect(&nginx.address).await.is_err() {
            if begun.elapsed() > START_WAIT {
                let log = fs::read_to_string(dir.join("error.log")).unwrap_or_default();
                return Err(format!("nginx does not listen: {log}"));
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(nginx)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Both fail when it is gone already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> Result<String, String> {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    free.map(|address| address.to_string()).map_err(|error| format!("no free port: {error}"))
}

fn text(dir: &Path, address: &str, store: &str) -> String {
    let dir = dir.display();
    format!(
        "daemon off;\nmaster_process off;\npid {dir}/nginx.pid;\nerror_log {dir}/error.log;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n  access_log off;\n  tcp_nodelay on;\n  client_max_body_size 0;\n  keepalive_requests 1000000000;\n\
         client_body_temp_path {dir}/body;\n  proxy_temp_path {dir}/proxy;\n  fastcgi_temp_path {dir}/fastcgi;\n\
         uwsgi_temp_path {dir}/uwsgi;\n  scgi_temp_path {dir}/scgi;\n\
         upstream store {{ server {store}; keepalive 64; keepalive_requests 1000000000; }}\n\
         server {{\n    listen {address};\n    location / {{\n      proxy_pass http://store;\n      proxy_http_version 1.1;\n\
         proxy_set_header Connection \"\";\n      proxy_set_header Host $http_host;\n      proxy_buffering off;\n\
         proxy_request_buffering off;\n    }}\n  }}\n}}\n"
    )
}
