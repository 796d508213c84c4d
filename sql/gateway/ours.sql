-- The gateway to our own engine: nothing between the caller and pgml, which keeps its clients apart itself.

-- Trains on the relation, training rows first, and returns the model's id.
create or replace function ml_pgml.train(
    project text, task text, relation text, label text, algorithm text, hyperparams jsonb, test_size real
)
returns bigint
language plpgsql volatile parallel unsafe
as $$
begin
    perform pgml.train(
        project_name => project,
        task => task,
        relation_name => relation,
        y_column_name => label,
        algorithm => algorithm::pgml.algorithm,
        hyperparams => hyperparams,
        test_size => test_size,
        test_sampling => 'last',
        automatic_deploy => false
    );
    return currval('pgml.models_id_seq');
end
$$;

-- The model's values for some rows whose features come one row after the other, or their probabilities.
create or replace function ml_pgml.answers(asked bigint, features real [], probabilities boolean) returns real []
language plpgsql volatile strict parallel unsafe
as $$
begin
    if probabilities then
        return pgml.predict_proba(asked, features);
    end if;
    return pgml.predict_batch(asked, features);
end
$$;
