//! Frames over TCP, and `Connection`: one request at a time. Records stay slices of the frame that they came in.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, DeleteTopicsRequest, FetchRequest, InitProducerIdRequest, MetadataRequest,
    ProduceRequest, RequestHeader, ResponseHeader,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use super::LoadError;

/// What brokers see of this client.
const CLIENT_ID: &str = "logmill-bench";
/// More than any response that is asked for.
const RESPONSE_BYTES_MAX: usize = 1 << 30;
/// Room that a read has at least.
const READ_BYTES: usize = 64 << 10;
/// The last versions with topics by name rather than by id, and without transactions that the broker begins.
const VERSIONS_MAX: [(i16, i16); 5] = [
    (ProduceRequest::KEY, 11),
    (FetchRequest::KEY, 12),
    (MetadataRequest::KEY, 12),
    (DeleteTopicsRequest::KEY, 5),
    (InitProducerIdRequest::KEY, 4),
];

/// Which versions a broker offers.
#[derive(Debug, Clone, Default)]
pub(super) struct Versions(BTreeMap<i16, (i16, i16)>);

impl Versions {
    /// The newest version of a request that both sides have.
    pub(super) fn of<R: Request>(&self) -> Result<i16, LoadError> {
        let most =
            VERSIONS_MAX.iter().find(|(key, _)| *key == R::KEY).map_or(R::VERSIONS.max, |(_, max)| *max);
        let ours = (R::VERSIONS.min, most.min(R::VERSIONS.max));
        let broker = self.0.get(&R::KEY).copied();
        match broker {
            Some((first, last)) if first.max(ours.0) <= last.min(ours.1) => Ok(last.min(ours.1)),
            _ => {
                let api =
                    ApiKey::try_from(R::KEY).map_or_else(|()| R::KEY.to_string(), |key| format!("{key:?}"));
                Err(LoadError::Unsupported { api, broker, ours })
            }
        }
    }
}

/// Writes a request with its length in front, over what `frame` held.
pub(super) fn write_request<R: Request>(
    frame: &mut Vec<u8>,
    version: i16,
    correlation_id: i32,
    request: &R,
) -> io::Result<()> {
    frame.clear();
    frame.extend([0; 4]);
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation_id)
        .with_client_id(Some(StrBytes::from_static_str(CLIENT_ID)));
    header.encode(frame, R::header_version(version)).map_err(io::Error::other)?;
    request.encode(frame, version).map_err(io::Error::other)?;
    let len = (frame.len() - 4) as u32;
    frame[..4].copy_from_slice(&len.to_be_bytes());
    Ok(())
}

/// Reads a response; its correlation id too.
pub(super) fn read_response<A: Decodable + HeaderVersion>(
    mut frame: Bytes,
    version: i16,
) -> io::Result<(i32, A)> {
    let header = ResponseHeader::decode(&mut frame, A::header_version(version)).map_err(io::Error::other)?;
    Ok((header.correlation_id, A::decode(&mut frame, version).map_err(io::Error::other)?))
}

/// What comes in, frame by frame. The memory of a frame is used again once nobody holds it.
pub(super) struct Frames {
    stream: OwnedReadHalf,
    buffer: BytesMut,
}

impl Frames {
    pub(super) fn new(stream: OwnedReadHalf) -> Frames {
        Frames { stream, buffer: BytesMut::new() }
    }

    /// The next one, without its length.
    pub(super) async fn next(&mut self) -> io::Result<Bytes> {
        loop {
            let missing = match self.buffer.first_chunk::<4>() {
                None => 4,
                Some(len) => {
                    let len = u32::from_be_bytes(*len) as usize;
                    if len > RESPONSE_BYTES_MAX {
                        return Err(io::Error::other(format!("a response of {len} bytes")));
                    }
                    if self.buffer.len() >= 4 + len {
                        let mut frame = self.buffer.split_to(4 + len);
                        return Ok(frame.split_off(4).freeze());
                    }
                    4 + len - self.buffer.len()
                }
            };
            self.buffer.reserve(missing.max(READ_BYTES));
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the broker closed the connection"));
            }
        }
    }
}

/// To one broker, a request at a time.
pub(super) struct Connection {
    frames: Frames,
    writer: OwnedWriteHalf,
    versions: Versions,
    next_id: i32,
    frame: Vec<u8>,
    patience: Duration,
}

/// Connects, by name or address.
pub(super) async fn connect(address: &str, patience: Duration) -> io::Result<TcpStream> {
    let stream = timeout(patience, TcpStream::connect(address)).await.map_err(|_| no_answer(patience))??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn no_answer(patience: Duration) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {:.0} s", patience.as_secs_f64()))
}

impl Connection {
    /// Connects; what takes longer than `patience` is an error from then on. Without `versions` it asks for them.
    pub(super) async fn open(
        address: &str,
        versions: Option<&Versions>,
        patience: Duration,
    ) -> Result<Connection, LoadError> {
        let nobody = |source| LoadError::NoBroker { address: address.to_owned(), source };
        let (reader, writer) = connect(address, patience).await.map_err(nobody)?.into_split();
        let mut connection = Connection {
            frames: Frames::new(reader),
            writer,
            versions: versions.cloned().unwrap_or_default(),
            next_id: 0,
            frame: Vec::new(),
            patience,
        };
        if versions.is_none() {
            // The version that every broker answers.
            let offered = connection.ask_version(0, &ApiVersionsRequest::default()).await.map_err(nobody)?;
            LoadError::refused(|| format!("asking {address} for its versions"), offered.error_code, None)?;
            let range = |api: &kafka_protocol::messages::api_versions_response::ApiVersion| {
                (api.api_key, (api.min_version, api.max_version))
            };
            connection.versions = Versions(offered.api_keys.iter().map(range).collect());
        }
        Ok(connection)
    }

    /// From here on answers may take that long.
    pub(super) fn wait_at_most(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// What the broker offers.
    pub(super) fn versions(&self) -> &Versions {
        &self.versions
    }

    /// Sends a request and waits for its response.
    pub(super) async fn ask<R: Request>(&mut self, request: &R) -> Result<R::Response, LoadError> {
        let version = self.versions.of::<R>()?;
        self.ask_version(version, request).await.map_err(LoadError::io("asking a broker"))
    }

    /// The same at a version that is known, and told apart from what cannot be asked at all.
    pub(super) async fn ask_version<R: Request>(
        &mut self,
        version: i16,
        request: &R,
    ) -> io::Result<R::Response> {
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        write_request(&mut self.frame, version, id, request)?;
        let exchange = async {
            self.writer.write_all(&self.frame).await?;
            self.frames.next().await
        };
        let frame = timeout(self.patience, exchange).await.map_err(|_| no_answer(self.patience))??;
        let (answered, response) = read_response(frame, version)?;
        if answered != id {
            return Err(io::Error::other(format!("response {answered}, expected {id}")));
        }
        Ok(response)
    }
}
