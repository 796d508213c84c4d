-- What PostgresML's documentation shows for tables, call by call, as it is called there: regression, classification,
-- search, joint regression, preprocessing, deployment. Runs on a database with pgml, its own data sets need no network:
--     psql -v ON_ERROR_STOP=1 -f docs/examples/postgresml.sql
-- Trains under projects named 'Example: ...' and replaces the tables pgml.diabetes, pgml.digits, pgml.linnerud, pgml.wine.

-- Regression. The first algorithm is linear; each further training of the project names what changes.
select * from pgml.load_dataset('diabetes');
select * from pgml.train('Example: diabetes', 'regression', 'pgml.diabetes', 'target');
select * from pgml.train('Example: diabetes', algorithm => 'ridge');
select * from pgml.train('Example: diabetes', algorithm => 'random_forest', hyperparams => '{"n_estimators": 20}');
select * from pgml.train('Example: diabetes', algorithm => 'xgboost', hyperparams => '{"n_estimators": 10}');
select * from pgml.train('Example: diabetes', algorithm => 'lightgbm');
select
    target,
    pgml.predict('Example: diabetes', array[age, sex, bmi, bp, s1, s2, s3, s4, s5, s6]) as prediction
from pgml.diabetes
limit 5;

-- What was learned, and what serves.
select name, algorithm, round((metrics ->> 'r2')::numeric, 3) as r2
from pgml.projects inner join pgml.models on models.project_id = projects.id
where name = 'Example: diabetes'
order by models.id;
select * from pgml.deploy('Example: diabetes', strategy => 'best_score');
select * from pgml.deploy('Example: diabetes', strategy => 'most_recent', algorithm => 'ridge');
select * from pgml.deploy('Example: diabetes', strategy => 'rollback');
select name, algorithm from pgml.deployed_models where name like 'Example:%';

-- Classification, of pictures: an array of two dimensions is a feature as it is.
select * from pgml.load_dataset('digits');
select * from pgml.train('Example: digits', 'classification', 'pgml.digits', 'target', test_sampling => 'random');
select * from pgml.train('Example: digits', algorithm => 'extra_trees', hyperparams => '{"n_estimators": 50}');
select target, pgml.predict('Example: digits', image) as prediction from pgml.digits limit 5;
select target, round(x.chances[target + 1]::numeric, 3) as chance_of_it
from (
    select target, pgml.predict_proba('Example: digits', image) as chances from pgml.digits limit 5
) as x;

-- Search: every combination, each on five folds; the best mean is fitted again on all training rows.
select * from pgml.load_dataset('wine');
select * from pgml.train(
    'Example: wine', 'classification', 'pgml.wine', 'target',
    algorithm => 'xgboost',
    hyperparams => '{"random_state": 0}',
    search => 'grid',
    search_params => '{"n_estimators": [5, 10], "max_depth": [1, 2, 3]}'
);
select metrics -> 'search_results' -> 'params' -> (metrics -> 'search_results' ->> 'best_index')::int as chosen
from pgml.models inner join pgml.projects on models.project_id = projects.id
where name = 'Example: wine';

-- Several labels at once.
select * from pgml.load_dataset('linnerud');
select * from pgml.train_joint(
    'Example: linnerud', 'regression', 'pgml.linnerud', array['weight', 'waist', 'pulse']
);
select weight, waist, pulse, pgml.predict_joint('Example: linnerud', array[chins, situps, jumps]) as prediction
from pgml.linnerud
limit 5;

-- Preprocessing of text and numbers; the row goes to predict as it is.
create table example_diamonds as
select
    0.2 + (n % 50) / 20.0::float8 as carat,
    case when n % 7 = 0 then null else 55 + n % 9 end::float8 as width,
    (array['Fair', 'Good', 'Ideal'])[1 + n % 3] as cut,
    (1000 + (n % 50) * 100 + 500 * (n % 3))::float8 as price
from generate_series(1, 600) as n;
select * from pgml.train(
    'Example: diamonds', 'regression', 'example_diamonds', 'price',
    algorithm => 'lightgbm',
    preprocess => '{
        "carat": {"scale": "standard"},
        "width": {"impute": "mean", "scale": "standard"},
        "cut": {"encode": "target", "scale": "standard"}
    }'
);
select price, pgml.predict('Example: diamonds', (carat, width, cut)) as prediction from example_diamonds limit 5;
drop table example_diamonds;

-- Beyond PostgresML: why an answer is what it is, and gone without a trace.
select feature, round(contribution::numeric, 1) as contribution
from pgml.explain('Example: diabetes', array[0.04, 0.05, 0.06, 0.02, -0.04, -0.03, -0.04, 0, 0.02, -0.02])
order by abs(contribution) desc;
select pgml.drop_project(name, force => true) from pgml.projects where name like 'Example: %' order by name;
