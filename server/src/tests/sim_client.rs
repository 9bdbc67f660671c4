//! A client over the simulated network.

use bytes::{Buf, BytesMut};

use super::requests::{decode, encode};
use crate::sim::SimSocket;
use crate::wire::{Api, Message};

/// A client that sends what it is told.
pub(super) struct SimClient {
    socket: SimSocket,
    received: BytesMut,
}

impl SimClient {
    pub(super) fn new(socket: SimSocket) -> SimClient {
        SimClient { socket, received: BytesMut::new() }
    }

    pub(super) async fn send<M: Message>(&self, api: Api, version: i16, request: &M) {
        self.socket.write_all(&encode(api, version, 7, request)).await.unwrap();
    }

    pub(super) async fn receive<M: Message>(&mut self, api: Api, version: i16) -> M {
        loop {
            if let Some(len) = self.received.first_chunk().map(|len| i32::from_be_bytes(*len) as usize)
                && self.received.len() >= 4 + len
            {
                self.received.advance(4);
                let frame = self.received.split_to(len).freeze();
                return decode(api, version, &frame).1;
            }
            assert!(self.socket.read(&mut self.received, 4_096).await.unwrap() > 0, "closed");
        }
    }

    pub(super) async fn ask<Q: Message, A: Message>(&mut self, api: Api, version: i16, request: &Q) -> A {
        self.send(api, version, request).await;
        self.receive(api, version).await
    }
}
