-- The three trainings of the document that Foresight was made from, as they stand there, for client 1. One thing is spelled
-- otherwise: the filters, in double quotes there, are texts of SQL here, in dollar quotes. Needs the platform's tables in
-- schema public and pgml beside them, and a role that may read them:
--     psql -v ON_ERROR_STOP=1 -f docs/examples/document.sql
-- Every column of the relation that is a number or a text is a feature, also ids and what is known only afterwards: these
-- show that the statements run, not that their models are worth much. Foresight's own features are in sql/features.

-- Model 1: Project Trajectory Forecaster
SELECT pgml.train(
    project_name => 'project_trajectory_forecast_client_1_v1',  -- Client-specific model name
    task => 'regression',
    relation_name => 'issues',
    y_column_name => 'total_lead_time_seconds',
    algorithm => 'xgboost',
    hyperparams => '{
        "n_estimators": 100,
        "max_depth": 6,
        "learning_rate": 0.1,
        "subsample": 0.8
    }',
    test_sampling => 'random',
    test_size => 0.2,
    -- CRITICAL: Filter by client_id for tenant isolation
    filter => $$
        client_id = 1  -- MUST be client-specific
        AND issuetype_id IN (
            SELECT id FROM issuetypes
            WHERE original_name = 'Epic' AND active = true AND client_id = 1
        )
        AND status_id IN (
            SELECT s.id FROM statuses s
            JOIN status_mappings sm ON s.status_mapping_id = sm.id
            WHERE sm.status_to = 'Done' AND s.active = true
        )
        AND total_lead_time_seconds > 0
        AND total_lead_time_seconds < 31536000  -- Less than 1 year
        AND work_last_completed_at >= NOW() - INTERVAL '2 years'
        AND active = true
    $$
);

-- Model 2: Issue Complexity Estimator
SELECT pgml.train(
    project_name => 'issue_complexity_estimator_client_1_v1',  -- Client-specific model name
    task => 'regression',
    relation_name => 'issues',
    y_column_name => 'story_points',
    algorithm => 'xgboost',
    hyperparams => '{
        "n_estimators": 150,
        "max_depth": 5,
        "learning_rate": 0.05
    }',
    -- Use text features from summary and custom fields
    preprocess_params => '{
        "text_columns": {
            "summary": {"imputer": "constant", "value": ""},
            "custom_field_01": {"imputer": "constant", "value": ""},
            "custom_field_05": {"imputer": "constant", "value": ""}
        }
    }',
    test_sampling => 'random',
    test_size => 0.25,
    -- CRITICAL: Filter by client_id for tenant isolation
    filter => $$
        client_id = 1  -- MUST be client-specific
        AND story_points IS NOT NULL
        AND story_points > 0
        AND story_points <= 21  -- Reasonable story point range
        AND issuetype_id IN (
            SELECT id FROM issuetypes
            WHERE original_name IN ('Story', 'Task', 'Bug')
            AND active = true AND client_id = 1
        )
        AND summary IS NOT NULL
        AND LENGTH(summary) > 10
        AND created >= NOW() - INTERVAL '18 months'
        AND active = true
    $$
);

-- Model 3: PR Rework Risk Classifier
-- CRITICAL: Create client-specific rework training view
-- This view must be created per client or filtered by client_id
CREATE OR REPLACE VIEW pr_rework_training_data AS
SELECT
    pr.*,
    -- Derive rework indicator from existing fields
    CASE
        WHEN pr.review_cycles > 2 OR pr.rework_commit_count > 3 THEN true
        ELSE false
    END as rework_indicator
FROM pull_requests pr
WHERE pr.merged_at IS NOT NULL  -- Only completed PRs
    AND pr.review_cycles IS NOT NULL
    AND pr.rework_commit_count IS NOT NULL
    AND pr.active = true;
    -- NOTE: client_id filtering must be applied when querying this view

-- CRITICAL: Train model per client (client_id = 1 example)
SELECT pgml.train(
    project_name => 'pr_rework_classifier_client_1_v1',  -- Client-specific model name
    task => 'classification',
    relation_name => 'pr_rework_training_data',
    y_column_name => 'rework_indicator',
    algorithm => 'lightgbm',
    hyperparams => '{
        "num_leaves": 31,
        "learning_rate": 0.05,
        "feature_fraction": 0.9
    }',
    test_sampling => 'random',
    test_size => 0.3,
    -- CRITICAL: Filter by client_id for tenant isolation
    filter => $$
        client_id = 1  -- MUST be client-specific
        AND merged_at >= NOW() - INTERVAL '12 months'
        AND commit_count > 0
        AND changed_files > 0
    $$
);
