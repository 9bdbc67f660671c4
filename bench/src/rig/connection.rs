//! `Connection`: requests out, responses in, in their order, and nothing repaired or repeated.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};

/// More than any response that is asked for here.
const RESPONSE_BYTES_MAX: usize = 64 << 20;

/// To one broker, or to a proxy in front of it.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    next_correlation_id: i32,
    next_answer: i32,
    client_id: &'static str,
}

impl Connection {
    /// Connects; whatever takes longer than `patience` is an error from then on.
    pub fn open(broker: SocketAddr, patience: Duration) -> io::Result<Connection> {
        let stream = TcpStream::connect_timeout(&broker, patience)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, next_correlation_id: 0, next_answer: 0, client_id: "rig" })
    }

    /// The same, by another name than the rig's.
    pub fn named(self, client_id: &'static str) -> Connection {
        Connection { client_id, ..self }
    }

    /// Sends a request.
    pub fn send<R: Request>(&mut self, version: i16, request: &R) -> io::Result<()> {
        let mut frame = vec![0; 4];
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.next_correlation_id)
            .with_client_id(Some(StrBytes::from_static_str(self.client_id)));
        header.encode(&mut frame, R::header_version(version)).map_err(io::Error::other)?;
        request.encode(&mut frame, version).map_err(io::Error::other)?;
        let len = (frame.len() - 4) as u32;
        frame[..4].copy_from_slice(&len.to_be_bytes());
        self.next_correlation_id += 1;
        self.stream.write_all(&frame)
    }

    /// The response to the oldest request that has none.
    pub fn receive<A: Decodable + HeaderVersion>(&mut self, version: i16) -> io::Result<A> {
        let mut len = [0; 4];
        self.stream.read_exact(&mut len)?;
        let len = u32::from_be_bytes(len) as usize;
        if len > RESPONSE_BYTES_MAX {
            return Err(io::Error::other(format!("a response of {len} bytes")));
        }
        let mut frame = vec![0; len];
        self.stream.read_exact(&mut frame)?;
        let mut frame = Bytes::from(frame);
        let header =
            ResponseHeader::decode(&mut frame, A::header_version(version)).map_err(io::Error::other)?;
        if header.correlation_id != self.next_answer {
            let what = format!("response {}, expected {}", header.correlation_id, self.next_answer);
            return Err(io::Error::other(what));
        }
        self.next_answer += 1;
        A::decode(&mut frame, version).map_err(io::Error::other)
    }

    /// Sends a request and waits for its response.
    pub fn ask<R: Request>(&mut self, version: i16, request: &R) -> io::Result<R::Response> {
        self.send(version, request)?;
        self.receive(version)
    }
}
