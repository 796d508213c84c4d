-- Whether this login may set the sequence of the models' ids, and where that stands; null where no model was trained yet.
select has_sequence_privilege('pgml.models_id_seq', 'update') as allowed, pg_sequence_last_value('pgml.models_id_seq') as last
