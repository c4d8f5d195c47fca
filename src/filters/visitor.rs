//! Who sends a request: the session secret it carries, and whether it may change anything.

use std::sync::Arc;

use crate::app::App;
use crate::audit;
use crate::call::{Head, Visitor};
use crate::error::ApiError;
use crate::filters::routes::Place;
use crate::policy::csrf::{self, CsrfFailure};
use crate::policy::verify;
use crate::store::{SessionStore as _, Ticket};

/// The session layer: reads the cookie.
pub(super) fn recognise(app: &App, head: Arc<Head>, place: Option<&Place>) -> Visitor {
    let ticket = app.cookie.read(&head.headers, |value| app.store.read_ticket(value));
    let logs_in = matches!(place, Some(Place::Login));
    let guarded = if place == Some(&Place::Verify) {
        // A proxy asks about a request of another method; what nobody understands must be proved.
        verify::method(&head.headers).is_none_or(|method| app.csrf.guard(&method))
    } else {
        let reads_freely = csrf::is_safe(&head.method) && place.is_some_and(is_never_guarded);
        app.csrf.guard(&head.method) && !reads_freely
    };
    Visitor { head, ticket, logs_in, guarded }
}

/// What `csrf.safe_methods` leaves alone: the browser itself goes to three of them, and cannot show
/// anything; the session is where a page learns its token.
fn is_never_guarded(place: &Place) -> bool {
    matches!(place, Place::Login | Place::Callback | Place::Logout | Place::Session)
}

/// The CSRF layer: an unsafe method with a live session must come from an allowed place and show
/// what `csrf.mode` asks for: by default the session's token. A dead cookie protects nothing, and
/// must not keep its owner from logging in again.
///
/// Login is the exception: who sends the right password needs no other proof, and a page that has
/// lost its token must be able to start anew. A foreign page is stopped there by the content type:
/// the body has to be JSON, which it cannot send without a preflight; and where there is a session
/// to replace, its origin is checked as well.
pub(super) async fn check_csrf(app: &App, visitor: &Visitor) -> Result<(), ApiError> {
    if !visitor.guarded {
        return Ok(());
    }
    let (ticket, stored) = match visitor.peek(app).await {
        Ok(found) => found,
        Err(ApiError::NoSession | ApiError::Expired | ApiError::Revoked) => return Ok(()),
        // Who cannot be recognised at this moment is not let through as a stranger.
        Err(error) => return Err(error),
    };
    prove(app, visitor, ticket).map_err(|failure| {
        audit::csrf_refused(app, visitor, &stored.user, &failure);
        failure.into()
    })
}

fn prove(app: &App, visitor: &Visitor, ticket: &Ticket) -> Result<(), CsrfFailure> {
    match csrf::check_source(&app.cors.current(), &app.public_origin, visitor.headers()) {
        Err(CsrfFailure::UnknownOrigin) if visitor.logs_in => {}
        checked => checked?,
    }
    if visitor.logs_in { Ok(()) } else { app.csrf.check_proof(ticket.secret(), visitor.headers()) }
}
