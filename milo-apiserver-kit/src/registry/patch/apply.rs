//! Server-side apply (`spec/wire.md` section 3.4).

use http::Response;
use milo_core::status::StatusError;

use super::{Call, PATCH_TYPES, Place, Resource};
use crate::body::Body;

impl Resource {
    pub(super) async fn apply(
        &self,
        _call: &mut Call<'_>,
        _place: &Place,
        _body: &[u8],
    ) -> Result<Response<Body>, StatusError> {
        Err(StatusError::unsupported_media_type(&PATCH_TYPES))
    }
}
