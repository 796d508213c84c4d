-- From the scale that distances are measured on back to the label's own.
create or replace function ml.unscaled(level float8, scale text)
returns float8
language sql immutable parallel safe
as $$ select case when scale = 'log1p' then greatest(exp(least(level, 100)) - 1, 0) else level end $$;

-- A range whose ends lie a millionth outside the outermost of the label's few values that it holds (null: they are many; then
-- it stays). The answer stays inside.
create or replace function ml.drawn_in(
    answer float8, low_end float8, high_end float8, few_values jsonb, out low float8, out high float8
)
language sql immutable parallel safe
as $$
    select
        least(coalesce(min(one.value::float8) - 1e-6, low_end), answer) as low,
        greatest(coalesce(max(one.value::float8) + 1e-6, high_end), answer) as high
    from jsonb_array_elements_text(case jsonb_typeof(few_values) when 'array' then few_values end) as one (value)
    where one.value::float8 between low_end and high_end
$$;

-- What a rule of ml.ranges says of an answer: {"value": ..., "low_50": ..., "high_50": ..., "low_80": ..., "high_80": ...} and, of a
-- quantity, "p85" and "share" (the width of the 80 % range beside that of the client's own last labels); of a probability,
-- "raw": `value` is what it has come to, not what the model said. Null without a rule.
create or replace function ml.ranged(answer float8, rule jsonb)
returns jsonb
language sql immutable parallel safe
as $$
    select
        case
            when rule is null then null
            when rule ? 'knots' then (
                select
                    jsonb_build_object(
                        'raw', answer,
                        'value', between.y,
                        'low_50', between.low_50,
                        'high_50', between.high_50,
                        'low_80', between.low_80,
                        'high_80', between.high_80
                    )
                from (
                    -- The knots on either side; beyond the outermost its own values hold.
                    select
                        below.y + part.share * (above.y - below.y) as y,
                        below.low_50 + part.share * (above.low_50 - below.low_50) as low_50,
                        below.high_50 + part.share * (above.high_50 - below.high_50) as high_50,
                        below.low_80 + part.share * (above.low_80 - below.low_80) as low_80,
                        below.high_80 + part.share * (above.high_80 - below.high_80) as high_80
                    from (
                        select
                            coalesce(
                                max(k.place) filter (where (k.knot ->> 0)::float8 <= answer), 1
                            )::integer as first,
                            count(*)::integer as knots
                        from jsonb_array_elements(rule -> 'knots') with ordinality as k (knot, place)
                    ) as found
                    cross join lateral (
                        select
                            (rule #>> array['knots', (found.first - 1)::text, '0'])::float8 as x,
                            (rule #>> array['knots', (found.first - 1)::text, '1'])::float8 as y,
                            (rule #>> array['knots', (found.first - 1)::text, '2'])::float8 as low_50,
                            (rule #>> array['knots', (found.first - 1)::text, '3'])::float8 as high_50,
                            (rule #>> array['knots', (found.first - 1)::text, '4'])::float8 as low_80,
                            (rule #>> array['knots', (found.first - 1)::text, '5'])::float8 as high_80
                    ) as below
                    cross join lateral (
                        select least(found.first, found.knots - 1)::text as place
                    ) as next
                    cross join lateral (
                        select
                            (rule #>> array['knots', next.place, '0'])::float8 as x,
                            (rule #>> array['knots', next.place, '1'])::float8 as y,
                            (rule #>> array['knots', next.place, '2'])::float8 as low_50,
                            (rule #>> array['knots', next.place, '3'])::float8 as high_50,
                            (rule #>> array['knots', next.place, '4'])::float8 as low_80,
                            (rule #>> array['knots', next.place, '5'])::float8 as high_80
                    ) as above
                    cross join lateral (
                        select
                            case
                                when above.x > below.x
                                    then least(greatest((answer - below.x) / (above.x - below.x), 0), 1)
                                else 0
                            end as share
                    ) as part
                ) as between
            )
            else (
                select
                    jsonb_build_object(
                        'value', answer,
                        'low_50', inner_50.low,
                        'high_50', inner_50.high,
                        'low_80', inner_80.low,
                        'high_80', inner_80.high,
                        'p85', bounds.p85,
                        'share',
                        case
                            when (rule ->> 'spread')::float8 > 0
                                then (inner_80.high - inner_80.low) / (rule ->> 'spread')::float8
                            -- The last labels are all the same.
                            when (rule ->> 'spread')::float8 = 0 then 0
                        end
                    )
                from (
                    select
                        case
                            when rule ->> 'scale' = 'log1p' then ln(1 + greatest(answer, 0))
                            else answer
                        end as level
                ) as asked
                cross join lateral (
                    select
                        ml.unscaled(asked.level + (rule #>> '{50,0}')::float8, rule ->> 'scale') as low_50,
                        ml.unscaled(asked.level + (rule #>> '{50,1}')::float8, rule ->> 'scale') as high_50,
                        ml.unscaled(asked.level + (rule #>> '{80,0}')::float8, rule ->> 'scale') as low_80,
                        ml.unscaled(asked.level + (rule #>> '{80,1}')::float8, rule ->> 'scale') as high_80,
                        ml.unscaled(asked.level + (rule ->> 'p85')::float8, rule ->> 'scale') as p85
                ) as bounds
                cross join lateral ml.drawn_in(
                    answer, bounds.low_50, bounds.high_50, rule -> 'values'
                ) as inner_50
                cross join lateral ml.drawn_in(
                    answer, bounds.low_80, bounds.high_80, rule -> 'values'
                ) as inner_80
            )
        end
$$;
