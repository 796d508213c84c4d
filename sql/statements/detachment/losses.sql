-- What goes with schema ml of the primary.
select
    (select count(*) from ml.clients) as clients,
    (select count(*) from ml.nightly_runs) as runs,
    (select count(*) from ml.prediction_log) as predictions,
    (select count(*) from ml.promotion_ledger) as promotions
