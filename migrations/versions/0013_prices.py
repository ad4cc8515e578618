"""Prices that nobody knows, and prices as they were.

A price that is null is unknown, which is not the same as nothing. A row that said nothing of prices
has had 0 so far, so 0 for both of a model on somebody else's machines is taken for not said.
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

ME = "current_setting('assistant.tenant_id', true)"
PRICES = "input_price, output_price, cached_input_price"


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE public.llm_models
            ALTER COLUMN input_price DROP NOT NULL, ALTER COLUMN input_price DROP DEFAULT,
            ALTER COLUMN output_price DROP NOT NULL, ALTER COLUMN output_price DROP DEFAULT
        """
    )
    for column in ("input_price", "output_price"):
        op.execute(
            f"COMMENT ON COLUMN public.llm_models.{column} IS "
            "'USD per million tokens; NULL: nobody has said it, which is nothing on our own "
            "machines, and unknown elsewhere'"
        )
    op.execute(
        """
        CREATE TABLE public.model_price_changes (
            tenant_id          text        NOT NULL
                               CHECK (char_length(tenant_id) BETWEEN 1 AND 128),
            provider           text        COLLATE "C" NOT NULL,
            name               text        COLLATE "C" NOT NULL,
            valid_from         timestamptz NOT NULL,
            input_price        numeric     CHECK (input_price >= 0),
            output_price       numeric     CHECK (output_price >= 0),
            cached_input_price numeric     CHECK (cached_input_price >= 0),
            PRIMARY KEY (tenant_id, provider, name, valid_from)
        )
        """
    )
    op.execute(
        "COMMENT ON TABLE public.model_price_changes IS "
        "'Each price that a row of llm_models has had; written by it, only ever added to'"
    )
    # The owner is bound by row security as well, and this is about every tenant's rows.
    _bind("llm_models", "providers", how="NO FORCE")
    op.execute(
        """
        UPDATE public.llm_models AS m SET input_price = NULL, output_price = NULL
        WHERE m.input_price = 0 AND m.output_price = 0 AND NOT (
            SELECT p.is_local FROM public.providers AS p
            WHERE p.tenant_id IN (m.tenant_id, 'platform') AND p.name = m.provider
            ORDER BY p.tenant_id = m.tenant_id DESC LIMIT 1)
        """
    )
    op.execute(
        f"""
        INSERT INTO public.model_price_changes (tenant_id, provider, name, valid_from, {PRICES})
        SELECT tenant_id, provider, name, now(), {PRICES} FROM public.llm_models
        """  # noqa: S608 - constants
    )
    _bind("llm_models", "providers", how="FORCE")
    op.execute("ALTER TABLE public.model_price_changes ENABLE ROW LEVEL SECURITY")
    _bind("model_price_changes", how="FORCE")
    op.execute(
        "CREATE POLICY reads ON public.model_price_changes FOR SELECT "
        f"USING (tenant_id IN ({ME}, 'platform'))"
    )
    op.execute(
        "CREATE POLICY inserts ON public.model_price_changes FOR INSERT "
        f"WITH CHECK (tenant_id = {ME})"
    )
    op.execute("GRANT SELECT, INSERT ON public.model_price_changes TO assistant_service")
    # Whoever changes a model has locked its row, so its changes come one after the other; the
    # clock may be set back meanwhile.
    op.execute(
        """
        CREATE FUNCTION public.assistant_date_prices() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            last public.model_price_changes;
        BEGIN
            SELECT c.* INTO last FROM public.model_price_changes AS c
            WHERE c.tenant_id = NEW.tenant_id AND c.provider = NEW.provider AND c.name = NEW.name
            ORDER BY c.valid_from DESC LIMIT 1;
            IF last.tenant_id IS NULL
               OR (last.input_price, last.output_price, last.cached_input_price)
                   IS DISTINCT FROM (NEW.input_price, NEW.output_price, NEW.cached_input_price) THEN
                INSERT INTO public.model_price_changes VALUES (
                    NEW.tenant_id, NEW.provider, NEW.name,
                    greatest(clock_timestamp(), last.valid_from + interval '1 microsecond'),
                    NEW.input_price, NEW.output_price, NEW.cached_input_price);
            END IF;
            RETURN NULL;
        END
        $$
        """
    )
    op.execute(
        f"""
        CREATE TRIGGER date_prices AFTER INSERT OR UPDATE OF {PRICES} ON public.llm_models
        FOR EACH ROW EXECUTE FUNCTION public.assistant_date_prices()
        """
    )


def _bind(*tables: str, how: str) -> None:
    for table in tables:
        op.execute(f"ALTER TABLE public.{table} {how} ROW LEVEL SECURITY")


def downgrade() -> None:
    op.execute("DROP TRIGGER date_prices ON public.llm_models")
    op.execute("DROP FUNCTION public.assistant_date_prices()")
    op.execute("DROP TABLE public.model_price_changes")
    _bind("llm_models", how="NO FORCE")
    for column in ("input_price", "output_price"):
        op.execute(f"UPDATE public.llm_models SET {column} = 0 WHERE {column} IS NULL")  # noqa: S608
    _bind("llm_models", how="FORCE")
    for column in ("input_price", "output_price"):
        op.execute(
            f"ALTER TABLE public.llm_models ALTER COLUMN {column} SET DEFAULT 0, "
            f"ALTER COLUMN {column} SET NOT NULL"
        )
