-- The words of PostgresML 2.10, also those that this version refuses: an old relation or call then fails with our sentence
-- and not with a type error. Tasks of language models are left out.
do $$
declare
    wanted record;
begin
    for wanted in
        select *
        from (values
            ('algorithm', array[
                'linear', 'xgboost', 'xgboost_random_forest', 'svm', 'lasso', 'elastic_net', 'ridge', 'kmeans', 'dbscan', 'knn',
                'random_forest', 'least_angle', 'lasso_least_angle', 'orthogonal_matching_pursuit', 'bayesian_ridge',
                'automatic_relevance_determination', 'stochastic_gradient_descent', 'perceptron', 'passive_aggressive', 'ransac',
                'theil_sen', 'huber', 'quantile', 'kernel_ridge', 'gaussian_process', 'nu_svm', 'ada_boost', 'bagging',
                'extra_trees', 'gradient_boosting_trees', 'hist_gradient_boosting', 'linear_svm', 'lightgbm', 'transformers',
                'affinity_propagation', 'birch', 'feature_agglomeration', 'mini_batch_kmeans', 'mean_shift', 'optics', 'spectral',
                'spectral_bi', 'spectral_co', 'catboost', 'pca'
            ]),
            ('task', array['regression', 'classification', 'clustering', 'decomposition']),
            ('sampling', array['random', 'last', 'stratified']),
            ('search', array['grid', 'random']),
            ('strategy', array['new_score', 'best_score', 'most_recent', 'rollback', 'specific']),
            ('status', array['in_progress', 'successful', 'failed']),
            ('runtime', array['python', 'rust', 'openai'])
        ) as types (name, words)
    loop
        if to_regtype(format('pgml.%I', wanted.name)) is null then
            execute format(
                'create type pgml.%I as enum (%s)',
                wanted.name,
                (select string_agg(quote_literal(word), ', ' order by place)
                 from unnest(wanted.words) with ordinality as listed (word, place))
            );
        end if;
    end loop;
end
$$;
