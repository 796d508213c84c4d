-- PostgresML's metrics of two arrays. The names are its own; no scikit-learn is needed for them here.
create or replace function pgml._regression_metrics(ground_truth real [], y_hat real [])
returns text
language plpython3u
stable strict parallel unsafe
as $$
from pgml_engine.comparison import regression_metrics
from pgml_engine.session import Session
return regression_metrics(Session.of(plpy, GD), ground_truth, y_hat)
$$;

create or replace function pgml._classification_metrics(ground_truth real [], y_hat real [], num_classes bigint)
returns text
language plpython3u
stable strict parallel unsafe
as $$
from pgml_engine.comparison import classification_metrics
from pgml_engine.session import Session
return classification_metrics(Session.of(plpy, GD), ground_truth, y_hat, num_classes)
$$;

create or replace function pgml.sklearn_regression_metrics(ground_truth real [], y_hat real [])
returns jsonb
language sql
stable strict parallel unsafe
as $$
select pgml._regression_metrics(ground_truth, y_hat)::jsonb
$$;

create or replace function pgml.sklearn_classification_metrics(ground_truth real [], y_hat real [], num_classes bigint)
returns jsonb
language sql
stable strict parallel unsafe
as $$
select pgml._classification_metrics(ground_truth, y_hat, num_classes)::jsonb
$$;

create or replace function pgml.sklearn_r2_score(ground_truth real [], y_hat real [])
returns real
language sql
stable strict parallel unsafe
as $$
select (pgml._regression_metrics(ground_truth, y_hat)::jsonb ->> 'r2')::real
$$;

create or replace function pgml.sklearn_f1_score(ground_truth real [], y_hat real [])
returns real
language sql
stable strict parallel unsafe
as $$
select (
    pgml._classification_metrics(
        ground_truth, y_hat, 1 + (select max(label) from unnest(ground_truth || y_hat || 1::real) as given (label))::bigint
    )::jsonb ->> 'f1'
)::real
$$;
