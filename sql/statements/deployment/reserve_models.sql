-- The next model's id is above these: a rebuilt replica must not give a new model the id of one that is in service.
select setval('pgml.models_id_seq', greatest(%(id)s::bigint, (select last_value from pgml.models_id_seq)))
where %(id)s::bigint > (select last_value from pgml.models_id_seq)
