-- The next model's id is above these: a rebuilt replica must not give a new model the id of one that is in service.
select setval('pgml.models_id_seq', {id})
