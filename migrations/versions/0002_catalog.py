"""The catalog: providers, models, groups, prompts and their versions, and what was seeded.

A tenant reads its own rows and those of the tenant `platform`, and writes only its own.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ME = "current_setting('assistant.tenant_id', true)"
TABLES = ("providers", "llm_models", "model_groups", "prompts", "prompt_versions")


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE public.providers (
            tenant_id        text    NOT NULL CHECK (char_length(tenant_id) BETWEEN 1 AND 128),
            name             text    COLLATE "C" NOT NULL CHECK (name ~ '^[a-z0-9-]{1,64}$'),
            kind             text    NOT NULL
                             CHECK (kind IN ('OLLAMA', 'OPENAI', 'ANTHROPIC', 'BUILTIN')),
            base_url         text,
            api_key_variable text,
            is_local         boolean NOT NULL DEFAULT true,
            is_enabled       boolean NOT NULL DEFAULT true,
            PRIMARY KEY (tenant_id, name)
        )
        """
    )
    op.execute("COMMENT ON COLUMN public.providers.base_url IS 'NULL: the environment says it'")
    op.execute(
        "COMMENT ON COLUMN public.providers.api_key_variable IS "
        "'Name of the environment variable that holds the key; never the key'"
    )
    op.execute(
        """
        CREATE TABLE public.llm_models (
            tenant_id         text    NOT NULL CHECK (char_length(tenant_id) BETWEEN 1 AND 128),
            provider          text    COLLATE "C" NOT NULL
                              CHECK (provider ~ '^[a-z0-9-]{1,64}$'),
            name              text    COLLATE "C" NOT NULL
                              CHECK (char_length(name) BETWEEN 1 AND 256),
            capabilities      text[]  NOT NULL CHECK (capabilities <@ ARRAY[
                                  'CHAT', 'TOOLS', 'VISION', 'EMBEDDING', 'STRUCTURED_OUTPUT',
                                  'REASONING']),
            tasks             text[]  CHECK (tasks <@ ARRAY[
                                  'GENERAL', 'SUMMARIZATION', 'TITLE_GENERATION',
                                  'KEYWORD_EXTRACTION', 'CLASSIFICATION', 'QUESTION_ANSWERING',
                                  'CODE_GENERATION', 'CODE_REVIEW', 'REASONING',
                                  'ERROR_DIAGNOSIS', 'DATA_INTERPRETATION',
                                  'WORKFLOW_GENERATION', 'EXTRACTION', 'REWRITING']),
            context_window    integer NOT NULL CHECK (context_window > 0),
            max_output_tokens integer CHECK (max_output_tokens > 0),
            input_price       numeric NOT NULL DEFAULT 0 CHECK (input_price >= 0),
            output_price      numeric NOT NULL DEFAULT 0 CHECK (output_price >= 0),
            is_allowed        boolean NOT NULL DEFAULT true,
            preference        integer NOT NULL DEFAULT 100,
            PRIMARY KEY (tenant_id, provider, name)
        )
        """
    )
    op.execute(
        "COMMENT ON COLUMN public.llm_models.tasks IS 'NULL: generates freely, serves every task'"
    )
    op.execute("COMMENT ON COLUMN public.llm_models.input_price IS 'USD per million tokens'")
    op.execute("COMMENT ON COLUMN public.llm_models.output_price IS 'USD per million tokens'")
    op.execute(
        """
        CREATE TABLE public.model_groups (
            tenant_id      text   NOT NULL CHECK (char_length(tenant_id) BETWEEN 1 AND 128),
            name           text   COLLATE "C" NOT NULL CHECK (name ~ '^[a-z0-9-]{1,64}$'),
            models         text[] NOT NULL CHECK (cardinality(models) > 0),
            fallback_group text   COLLATE "C" CHECK (fallback_group <> name),
            PRIMARY KEY (tenant_id, name)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE public.prompts (
            tenant_id            text        NOT NULL
                                 CHECK (char_length(tenant_id) BETWEEN 1 AND 128),
            id                   uuid        NOT NULL,
            name                 text        COLLATE "C" NOT NULL
                                 CHECK (name ~ '^[a-z0-9-]{1,64}$'),
            description          text,
            category             text        NOT NULL,
            tags                 text[]      NOT NULL DEFAULT '{}',
            published_version_id uuid,
            is_archived          boolean     NOT NULL DEFAULT false,
            created_by           text,
            created_at           timestamptz NOT NULL,
            updated_at           timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, id),
            UNIQUE (tenant_id, name)
        )
        """
    )
    # `json` keeps the order of a schema's properties, which models follow; `jsonb` would not.
    op.execute(
        """
        CREATE TABLE public.prompt_versions (
            tenant_id       text        NOT NULL
                            CHECK (char_length(tenant_id) BETWEEN 1 AND 128),
            id              uuid        NOT NULL,
            prompt_id       uuid        NOT NULL,
            version         integer     NOT NULL CHECK (version > 0),
            status          text        NOT NULL
                            CHECK (status IN ('DRAFT', 'PUBLISHED', 'ARCHIVED')),
            template        text        NOT NULL,
            system_template text,
            variables       jsonb       NOT NULL CHECK (jsonb_typeof(variables) = 'array'),
            task            text        NOT NULL CHECK (task IN (
                                'GENERAL', 'SUMMARIZATION', 'TITLE_GENERATION',
                                'KEYWORD_EXTRACTION', 'CLASSIFICATION', 'QUESTION_ANSWERING',
                                'CODE_GENERATION', 'CODE_REVIEW', 'REASONING',
                                'ERROR_DIAGNOSIS', 'DATA_INTERPRETATION',
                                'WORKFLOW_GENERATION', 'EXTRACTION', 'REWRITING')),
            model           text,
            parameters      jsonb       NOT NULL CHECK (jsonb_typeof(parameters) = 'object'),
            response_schema json        CHECK (json_typeof(response_schema) = 'object'),
            change_note     text,
            created_by      text,
            created_at      timestamptz NOT NULL,
            published_at    timestamptz,
            PRIMARY KEY (tenant_id, id),
            UNIQUE (tenant_id, prompt_id, version),
            UNIQUE (tenant_id, prompt_id, id),
            FOREIGN KEY (tenant_id, prompt_id) REFERENCES public.prompts (tenant_id, id)
                ON DELETE CASCADE
        )
        """
    )
    op.execute(
        """
        ALTER TABLE public.prompts ADD CONSTRAINT prompts_published_version_fkey
        FOREIGN KEY (tenant_id, id, published_version_id)
        REFERENCES public.prompt_versions (tenant_id, prompt_id, id)
        """
    )
    op.execute(
        """
        CREATE FUNCTION public.assistant_refuse_rewording() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            IF to_jsonb(NEW) - 'status' - 'published_at'
               IS DISTINCT FROM to_jsonb(OLD) - 'status' - 'published_at' THEN
                RAISE EXCEPTION 'a prompt version never changes; add a new version'
                    USING ERRCODE = 'restrict_violation';
            END IF;
            RETURN NEW;
        END
        $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER refuse_rewording BEFORE UPDATE ON public.prompt_versions
        FOR EACH ROW EXECUTE FUNCTION public.assistant_refuse_rewording()
        """
    )
    op.execute(
        """
        CREATE FUNCTION public.assistant_announce_catalog() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            PERFORM pg_notify('assistant_catalog', coalesce(NEW.tenant_id, OLD.tenant_id));
            RETURN NULL;
        END
        $$
        """
    )
    for table in TABLES:
        op.execute(
            f"""
            CREATE TRIGGER announce AFTER INSERT OR UPDATE OR DELETE ON public.{table}
            FOR EACH ROW EXECUTE FUNCTION public.assistant_announce_catalog()
            """
        )
        _secure(table, f"tenant_id IN ({ME}, 'platform')")

    # What was seeded once: a row here without its row there was deleted on purpose.
    op.execute(
        """
        CREATE TABLE public.seeds (
            tenant_id    text  NOT NULL CHECK (char_length(tenant_id) BETWEEN 1 AND 128),
            kind         text  NOT NULL CHECK (kind IN (
                             'provider', 'model', 'model_group', 'prompt', 'prompt_version')),
            key          text  COLLATE "C" NOT NULL,
            content_hash bytea NOT NULL CHECK (octet_length(content_hash) = 32),
            PRIMARY KEY (tenant_id, kind, key)
        )
        """
    )
    _secure("seeds", f"tenant_id = {ME}")

    op.execute(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON public.providers, public.llm_models, "
        "public.model_groups TO assistant_service"
    )
    op.execute("GRANT SELECT, INSERT, UPDATE ON public.prompts, public.seeds TO assistant_service")
    op.execute("GRANT SELECT, INSERT ON public.prompt_versions TO assistant_service")
    op.execute("GRANT UPDATE (status, published_at) ON public.prompt_versions TO assistant_service")


def _secure(table: str, readable: str) -> None:
    op.execute(f"ALTER TABLE public.{table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE public.{table} FORCE ROW LEVEL SECURITY")
    mine = f"tenant_id = {ME}"
    op.execute(f"CREATE POLICY reads ON public.{table} FOR SELECT USING ({readable})")
    op.execute(f"CREATE POLICY inserts ON public.{table} FOR INSERT WITH CHECK ({mine})")
    op.execute(
        f"CREATE POLICY updates ON public.{table} FOR UPDATE USING ({mine}) WITH CHECK ({mine})"
    )
    op.execute(f"CREATE POLICY deletes ON public.{table} FOR DELETE USING ({mine})")


def downgrade() -> None:
    op.execute("ALTER TABLE public.prompts DROP CONSTRAINT prompts_published_version_fkey")
    op.execute(
        "DROP TABLE public.seeds, public.prompt_versions, public.prompts, public.model_groups, "
        "public.llm_models, public.providers"
    )
    op.execute("DROP FUNCTION public.assistant_announce_catalog()")
    op.execute("DROP FUNCTION public.assistant_refuse_rewording()")
