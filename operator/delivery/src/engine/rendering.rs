//! Rendering of a value: the transformation of an object with everything that it refers to, and the content of its Secret.

use kube::ResourceExt;
use steamer_api::{SecretTransformation, Transformation};
use steamer_core::digest::digest;
use steamer_core::references::target;
use steamer_core::{Error, Stores};
use steamer_runtime::{Dependencies, caught};
use tokio::sync::Semaphore;

use super::content::Content;
use super::document::Document;
use super::foreseen::{Expected, Foreseen};
use super::shared::Engine;
use super::synced::{Source, Synced};
use super::transformation::{DELIVERED, Definition, Metadata, Program, Rendered, Subject, plain};

/// Renderings that run at the same time. Each one uses a processor and about a hundred megabytes at most.
static RENDERINGS: Semaphore = Semaphore::const_new(4);

/// How the value of an object becomes the content of its Secret.
pub(super) struct Rendering {
    /// Digest of everything that determines the content, except the value. Empty without a transformation.
    pub(super) digest: String,
    definition: Option<Definition>,
    subject: Subject,
}

/// A [`Rendering`] with parsed templates.
pub(super) struct Renderer {
    program: Option<Program>,
    subject: Subject,
}

impl Engine {
    /// The rendering of an object. A change of a SecretTransformation that it refers to requeues the object.
    ///
    /// # Errors
    /// As [`steamer_core::Stores::resolve`] and [`Definition::refer`].
    pub(super) fn rendering<K: Synced>(
        &self,
        dependencies: &Dependencies,
        object: &K,
    ) -> Result<Rendering, Error> {
        let Some(transformation) = &object.common().destination.transformation else {
            return Ok(Rendering::none());
        };
        let namespace = object.namespace().unwrap_or_default();
        let definition = Definition::inline(transformation, DELIVERED);
        let definition =
            resolved(definition, transformation, (&self.context.stores, dependencies, &namespace))?;
        let uid = object.uid().unwrap_or_default();
        let subject = Subject::new(uid, object.labels(), object.annotations());
        // An edited label must not issue a value: the next one is rendered with it.
        let decisive = if K::Source::ISSUES { Subject::default() } else { subject.clone() };
        Ok(Rendering::new(definition, subject, &decisive))
    }
}

/// Adds the SecretTransformations that a transformation refers to. A change of one requeues the object in `namespace`.
///
/// # Errors
/// As [`steamer_core::Stores::resolve`] and [`Definition::refer`].
pub(crate) fn resolved(
    mut definition: Definition,
    transformation: &Transformation,
    (stores, dependencies, namespace): (&Stores, &Dependencies, &str),
) -> Result<Definition, Error> {
    for reference in &transformation.transformation_refs {
        let name = target(&reference.reference(), namespace);
        let found: std::sync::Arc<SecretTransformation> = stores.named(dependencies, &name, namespace)?;
        definition.refer(reference, &name, &found.spec)?;
    }
    Ok(definition)
}

/// Runs a transformation. A template can compute for seconds: it must not block a worker of the runtime, and few of them run at
/// the same time.
///
/// # Errors
/// As [`Program::run`].
pub(crate) async fn rendered(
    program: Program,
    documents: Vec<Document>,
    subject: Subject,
) -> Result<Rendered, Error> {
    let permit = RENDERINGS.acquire().await.map_err(Error::internal)?;
    // The text of a panic can contain a value.
    let run = move || {
        let _permit = permit;
        caught(|| program.run(&documents, &subject))
    };
    let ended = tokio::task::spawn_blocking(run).await.map_err(Error::internal)?;
    ended.map_err(Error::internal)?
}

impl Rendering {
    fn none() -> Self {
        Self { digest: String::new(), definition: None, subject: Subject::default() }
    }

    /// `decisive`: labels and annotations that render the value again when they change.
    fn new(definition: Definition, subject: Subject, decisive: &Subject) -> Self {
        // Only templates read labels and annotations.
        let input = definition.has_templates().then_some(decisive);
        let text = serde_json::json!([definition, input]).to_string();
        Self { digest: digest(text.as_bytes())[..16].to_owned(), definition: Some(definition), subject }
    }

    /// Returns true if a template writes a label or an annotation.
    pub(super) fn has_metadata(&self) -> bool {
        self.definition.as_ref().is_some_and(Definition::has_metadata)
    }

    /// Parses the templates.
    ///
    /// # Errors
    /// As [`Program::parse`].
    pub(super) fn renderer(&self) -> Result<Renderer, Error> {
        let program = self.definition.as_ref().map(Program::parse).transpose()?;
        Ok(Renderer { program, subject: self.subject.clone() })
    }
}

impl Renderer {
    /// The keys of the Secret of a value that is not known.
    pub(super) fn expected(&self, foreseen: &Foreseen) -> Expected {
        match &self.program {
            Some(program) => program.expected(foreseen),
            None => Expected::of(foreseen, |_| true),
        }
    }

    /// The content of the Secret, and its labels and annotations of templates.
    ///
    /// # Errors
    /// As [`Program::run`] and [`Content::new`].
    pub(super) async fn render(self, documents: Vec<Document>) -> Result<(Content, Metadata), Error> {
        let Self { program, subject } = self;
        let Some(program) = program else {
            return Ok((Content::new(plain(&documents))?, Metadata::default()));
        };
        let Rendered { data, metadata } = rendered(program, documents, subject).await?;
        Ok((Content::new(data)?, metadata))
    }
}
