//! A client over TCP that sends what it is told and repairs nothing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;

use super::requests::{decode, encode};
use crate::broker::Running;
use crate::wire::{Api, Message};

/// Nothing in these tests takes so long, however busy the machine.
const DEADLINE: Duration = Duration::from_secs(300);

pub(super) struct TcpClient {
    stream: TcpStream,
    next_correlation_id: i32,
}

impl TcpClient {
    pub(super) fn connect(broker: &Running) -> TcpClient {
        let stream = TcpStream::connect(("127.0.0.1", broker.broker().advertised[0].port)).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        TcpClient { stream, next_correlation_id: 0 }
    }

    /// Sends a request and says its correlation id.
    pub(super) fn send<M: Message>(&mut self, api: Api, version: i16, request: &M) -> i32 {
        let correlation_id = self.next_correlation_id;
        let frame = encode(api, version, correlation_id, request);
        self.next_correlation_id += 1;
        self.stream.write_all(&frame).unwrap();
        correlation_id
    }

    /// The next response: its correlation id and its body.
    pub(super) fn receive<M: Message>(&mut self, api: Api, version: i16) -> (i32, M) {
        let mut len = [0; 4];
        self.stream.read_exact(&mut len).unwrap();
        let mut frame = vec![0; i32::from_be_bytes(len) as usize];
        self.stream.read_exact(&mut frame).unwrap();
        decode(api, version, &Bytes::from(frame))
    }

    /// The next response, of which so many bytes are read before something happens, and the rest behind it.
    pub(super) fn receive_around<M: Message>(
        &mut self,
        api: Api,
        version: i16,
        bytes_before: usize,
        happens: impl FnOnce(),
    ) -> M {
        let mut len = [0; 4];
        self.stream.read_exact(&mut len).unwrap();
        let mut frame = vec![0; i32::from_be_bytes(len) as usize];
        let (before, behind) = frame.split_at_mut(bytes_before);
        self.stream.read_exact(before).unwrap();
        happens();
        self.stream.read_exact(behind).unwrap();
        decode(api, version, &Bytes::from(frame)).1
    }

    pub(super) fn ask<Q: Message, A: Message>(&mut self, api: Api, version: i16, request: &Q) -> A {
        self.send(api, version, request);
        self.receive(api, version).1
    }
}
