BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('v3.2.0.a');
CREATE TABLE studies (
	study_id INTEGER NOT NULL, 
	study_name VARCHAR(512) NOT NULL, 
	PRIMARY KEY (study_id)
);
INSERT INTO "studies" VALUES(1,'golden');
CREATE TABLE study_directions (
	study_direction_id INTEGER NOT NULL, 
	direction VARCHAR(8) NOT NULL, 
	study_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	PRIMARY KEY (study_direction_id), 
	UNIQUE (study_id, objective), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_directions" VALUES(1,'MINIMIZE',1,0);
INSERT INTO "study_directions" VALUES(2,'MINIMIZE',1,1);
CREATE TABLE study_system_attributes (
	study_system_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_system_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_system_attributes" VALUES(1,1,'study:metric_names','["top1_error", "cost"]');
CREATE TABLE study_user_attributes (
	study_user_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_user_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_user_attributes" VALUES(1,1,'constraints','["top1_error <= 0.115"]');
INSERT INTO "study_user_attributes" VALUES(2,1,'fingerprint','"8df44f75840a9432-93381b501afec781-4e0589c042ea9bf9-8706279217231a90"');
CREATE TABLE trial_heartbeats (
	trial_heartbeat_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	heartbeat DATETIME NOT NULL, 
	PRIMARY KEY (trial_heartbeat_id), 
	UNIQUE (trial_id), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_intermediate_values (
	trial_intermediate_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	intermediate_value FLOAT, 
	intermediate_value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_intermediate_value_id), 
	UNIQUE (trial_id, step), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_params (
	param_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	param_name VARCHAR(512), 
	param_value FLOAT, 
	distribution_json TEXT, 
	PRIMARY KEY (param_id), 
	UNIQUE (trial_id, param_name), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_params" VALUES(1,1,'stem.0.keep',1.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.3, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(2,1,'stem.0.precision',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(3,1,'inner.0.keep',1.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.3, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(4,1,'inner.0.precision',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(5,1,'outer.0.precision',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(6,1,'down.0.keep',1.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.3, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(7,1,'down.0.precision',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(8,1,'point.0.keep',1.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.3, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(9,1,'point.0.precision',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(10,1,'linear.precision',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(11,2,'stem.0.keep',1.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.3, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(12,2,'stem.0.precision',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(13,2,'inner.0.keep',1.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.3, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(14,2,'inner.0.precision',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(15,2,'outer.0.precision',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(16,2,'down.0.keep',1.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.3, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(17,2,'down.0.precision',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(18,2,'point.0.keep',1.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.3, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(19,2,'point.0.precision',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(20,2,'linear.precision',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(21,3,'stem.0.keep',1.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.3, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(22,3,'stem.0.precision',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(23,3,'inner.0.keep',1.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.3, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(24,3,'inner.0.precision',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(25,3,'outer.0.precision',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(26,3,'down.0.keep',0.875,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.3, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(27,3,'down.0.precision',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(28,3,'point.0.keep',0.875,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.3, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(29,3,'point.0.precision',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(30,3,'linear.precision',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(31,4,'stem.0.keep',0.75,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.3, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(32,4,'stem.0.precision',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(33,4,'inner.0.keep',0.75,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.3, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(34,4,'inner.0.precision',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(35,4,'outer.0.precision',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(36,4,'down.0.keep',0.75,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.3, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(37,4,'down.0.precision',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(38,4,'point.0.keep',0.75,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.3, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(39,4,'point.0.precision',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(40,4,'linear.precision',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(41,5,'stem.0.keep',0.75,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.3, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(42,5,'stem.0.precision',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(43,5,'inner.0.keep',0.75,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.3, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(44,5,'inner.0.precision',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(45,5,'outer.0.precision',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(46,5,'down.0.keep',0.625,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.3, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(47,5,'down.0.precision',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(48,5,'point.0.keep',0.625,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.3, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(49,5,'point.0.precision',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(50,5,'linear.precision',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(51,6,'stem.0.keep',0.5,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.3, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(52,6,'stem.0.precision',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(53,6,'inner.0.keep',0.5,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.3, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(54,6,'inner.0.precision',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(55,6,'outer.0.precision',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(56,6,'down.0.keep',0.5,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.3, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(57,6,'down.0.precision',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(58,6,'point.0.keep',0.5,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.3, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(59,6,'point.0.precision',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(60,6,'linear.precision',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(61,7,'stem.0.keep',1.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.3, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(62,7,'stem.0.precision',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(63,7,'inner.0.keep',1.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.3, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(64,7,'inner.0.precision',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(65,7,'outer.0.precision',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(66,7,'down.0.keep',1.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.3, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(67,7,'down.0.precision',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(68,7,'point.0.keep',1.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.3, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(69,7,'point.0.precision',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(70,7,'linear.precision',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(71,8,'stem.0.keep',0.75,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.3, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(72,8,'stem.0.precision',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(73,8,'inner.0.keep',1.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.3, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(74,8,'inner.0.precision',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(75,8,'outer.0.precision',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(76,8,'down.0.keep',0.875,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.3, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(77,8,'down.0.precision',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(78,8,'point.0.keep',0.75,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.3, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(79,8,'point.0.precision',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
INSERT INTO "trial_params" VALUES(80,8,'linear.precision',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}');
CREATE TABLE trial_system_attributes (
	trial_system_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_system_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_system_attributes" VALUES(1,1,'moco:trial','{"format": 2, "number": 0, "suggestion": {"id": -1, "point": {"stem.0.keep": 1.0, "stem.0.precision": "float32", "inner.0.keep": 1.0, "inner.0.precision": "float32", "outer.0.precision": "float32", "down.0.keep": 1.0, "down.0.precision": "float32", "point.0.keep": 1.0, "point.0.precision": "float32", "linear.precision": "float32"}, "notes": {"start": "reference"}}, "state": "complete", "point": {"stem.0.precision": "float32", "stem.0.keep": 1.0, "inner.0.precision": "float32", "inner.0.keep": 1.0, "outer.0.precision": "float32", "down.0.precision": "float32", "down.0.keep": 1.0, "point.0.precision": "float32", "point.0.keep": 1.0, "linear.precision": "float32"}, "policy": "{}", "evaluation": {"metrics": {"top1_error": [0.015000000000000013, 0.0049504950495049506], "top5_error": [0.0, 0.0049504950495049506], "size_mb": [0.044255, null], "macs": [394560.0, null], "flops": [789120.0, null], "bops": [404029440.0, null], "parameters": [10938.0, null], "packed_size_mb": [0.043752, null], "latency_ms": [0.01743477410007801, 9.269766184909774e-05], "throughput_ips": [124907.25975609185, 1836.018695065487]}, "samples": {"latency_ms.reference_ms": [0.023835000000000002, 0.018127, 0.018067, 0.018057, 0.018087, 0.018097000000000002, 0.017981999999999998, 0.017916500000000002, 0.018082, 0.0181675, 0.017987, 0.018071999999999998, 0.018057, 0.017946, 0.017951500000000002], "latency_ms.candidate_ms": [0.017586, 0.017657, 0.017536, 0.017636, 0.017577, 0.017686, 0.017366, 0.017606, 0.017486, 0.017466, 0.017426, 0.017506, 0.017526, 0.017396, 0.017336], "throughput_ips.reference_ms": [0.26875499999999997, 0.2611735, 0.26537, 0.29601, 0.2757, 0.267177, 0.2607985, 0.26249, 0.2617545, 0.27217, 0.261304, 0.27026700000000003, 0.26196949999999997, 0.277818, 0.265555], "throughput_ips.candidate_ms": [0.24919550000000001, 0.25199, 0.248945, 0.27035200000000004, 0.2794055, 0.26870950000000005, 0.26928050000000003, 0.25407250000000003, 0.255155, 0.268069, 0.251109, 0.26209000000000005, 0.27234, 0.25145399999999996, 0.30150299999999997]}, "seconds": {"compress": 0.0012234690000241244, "export": 0.012300979999736228, "load": 0.009601413000154935, "score": 0.002230327999996007, "tracking": 2.6870000056078425e-05, "measure": 0.1829829900000277, "search": 0.0001451660000384436, "record": 0.0}, "artifact_sha256": "93c427608c3bedf85b74dce94a89d6efb9f923946b06fc59e0d453f886adf508", "details": {"warnings": ["load average 7.85 on 2 cores before timing", "the process had a core 35% of the time only: others compete", "session 1 is the reference''s own file, yet its time ratio is 0.969", "load average 7.85 on 2 cores before timing", "the process had a core 39% of the time only: others compete", "session 1 is the reference''s own file, yet its time ratio is 0.970"], "latency_ms.ratio": [0.9693525019502952, 0.9582429144375089, 0.9809258610170407], "throughput_ips.ratio": [0.9697447339112804, 0.9394076720899343, 1.0148650472087335]}}, "outcome": [[0.015000000000000013, 0.9796990786205251], [0.0049504950495049506, 0.005052484821895129], [-0.8695652173913042], [0.043047783039173476]], "score": -0.9796990786205251, "reason": null, "distinct": true, "seconds": 0.2157186389999879}');
INSERT INTO "trial_system_attributes" VALUES(2,1,'constraints','[-0.8695652173913042]');
INSERT INTO "trial_system_attributes" VALUES(3,1,'constraints:top1_error <= 0.115','-0.8695652173913042');
INSERT INTO "trial_system_attributes" VALUES(4,2,'moco:trial','{"format": 2, "number": 1, "suggestion": {"id": -2, "point": {"stem.0.keep": 1.0, "stem.0.precision": "int8", "inner.0.keep": 1.0, "inner.0.precision": "int8", "outer.0.precision": "int8", "down.0.keep": 1.0, "down.0.precision": "int8", "point.0.keep": 1.0, "point.0.precision": "int8", "linear.precision": "int8"}, "notes": {"start": "int8"}}, "state": "complete", "point": {"stem.0.precision": "int8", "stem.0.keep": 1.0, "inner.0.precision": "int8", "inner.0.keep": 1.0, "outer.0.precision": "int8", "down.0.precision": "int8", "down.0.keep": 1.0, "point.0.precision": "int8", "point.0.keep": 1.0, "linear.precision": "int8"}, "policy": "{\"down.0\":{\"precision\":\"int8\"},\"inner.0\":{\"precision\":\"int8\"},\"linear\":{\"precision\":\"int8\"},\"outer.0\":{\"precision\":\"int8\"},\"point.0\":{\"precision\":\"int8\"},\"stem.0\":{\"precision\":\"int8\"}}", "evaluation": {"metrics": {"top1_error": [0.015000000000000013, 0.0049504950495049506], "top5_error": [0.0, 0.0049504950495049506], "size_mb": [0.014553, null], "macs": [394560.0, null], "flops": [789120.0, null], "bops": [25251840.0, null], "parameters": [10938.0, null], "packed_size_mb": [0.01164, null], "latency_ms": [0.01889097492600659, 9.81039355091362e-05], "throughput_ips": [180353.62560112422, 2093.7564043836555]}, "samples": {"latency_ms.reference_ms": [0.018407, 0.017987, 0.017957, 0.017907, 0.018027, 0.018067, 0.017987, 0.018037, 0.018106, 0.018137, 0.018307, 0.018157, 0.017946, 0.018027, 0.018017], "latency_ms.candidate_ms": [0.018843, 0.018938, 0.018823, 0.018808, 0.018983, 0.0189985, 0.018898, 0.018923500000000003, 0.018983, 0.019048, 0.0190835, 0.019183, 0.018958, 0.018898, 0.019013000000000002], "throughput_ips.reference_ms": [0.2668415, 0.26202000000000003, 0.2736975, 0.26237999999999995, 0.28479849999999995, 0.2646085, 0.2946385, 0.2643935, 0.2652595, 0.2621595, 0.263762, 0.2674025, 0.262636, 0.2652245, 0.26369200000000004], "throughput_ips.candidate_ms": [0.180133, 0.1759765, 0.177129, 0.178651, 0.176182, 0.1746695, 0.17721399999999998, 0.1818305, 0.182727, 0.17552099999999998, 0.182892, 0.17368850000000002, 0.17659750000000002, 0.17537550000000002, 0.182141]}, "seconds": {"compress": 0.0011863750000884465, "export": 0.02172371699998621, "calibrate": 0.017110644000013053, "load": 0.010619038000186265, "score": 0.0014523309998821787, "tracking": 2.881399996113032e-05, "measure": 0.17974918000004436, "search": 0.00043110100000376406, "record": 0.10361777399998573}, "artifact_sha256": "3f27acdd112d3039691acc687a4621bc640d243756a5c683eaf616a2f92435fc", "details": {"warnings": ["load average 7.85 on 2 cores before timing", "the process had a core 40% of the time only: others compete", "load average 7.85 on 2 cores before timing", "the process had a core 36% of the time only: others compete"], "latency_ms.ratio": [1.0503155190707545, 1.038253651093446, 1.0622927204156938], "throughput_ips.ratio": [0.6716147622318906, 0.6502513531850227, 0.688325785619452]}}, "outcome": [[0.015000000000000013, 0.6835914932327688], [0.0049504950495049506, 0.00317179701894541], [-0.8695652173913042], [0.043047783039173476]], "score": -0.6835914932327688, "reason": null, "distinct": true, "seconds": 0.3511306309999327}');
INSERT INTO "trial_system_attributes" VALUES(5,2,'constraints','[-0.8695652173913042]');
INSERT INTO "trial_system_attributes" VALUES(6,2,'constraints:top1_error <= 0.115','-0.8695652173913042');
INSERT INTO "trial_system_attributes" VALUES(7,3,'moco:trial','{"format": 2, "number": 2, "suggestion": {"id": -3, "point": {"stem.0.keep": 0.86, "stem.0.precision": "int8", "inner.0.keep": 0.86, "inner.0.precision": "int8", "outer.0.precision": "int8", "down.0.keep": 0.86, "down.0.precision": "int8", "point.0.keep": 0.86, "point.0.precision": "int8", "linear.precision": "int8"}, "notes": {"start": "ladder 0.2 int8"}}, "state": "complete", "point": {"stem.0.precision": "int8", "stem.0.keep": 1.0, "inner.0.precision": "int8", "inner.0.keep": 1.0, "outer.0.precision": "int8", "down.0.precision": "int8", "down.0.keep": 0.875, "point.0.precision": "int8", "point.0.keep": 0.875, "linear.precision": "int8"}, "policy": "{\"down.0\":{\"filter_pruning\":{\"keep\":28,\"of\":32},\"precision\":\"int8\"},\"inner.0\":{\"precision\":\"int8\"},\"linear\":{\"precision\":\"int8\"},\"outer.0\":{\"precision\":\"int8\"},\"point.0\":{\"filter_pruning\":{\"keep\":28,\"of\":32},\"precision\":\"int8\"},\"stem.0\":{\"precision\":\"int8\"}}", "evaluation": {"metrics": {"top1_error": [0.020000000000000018, 0.006992387196219549], "top5_error": [0.0, 0.0049504950495049506], "size_mb": [0.013589, null], "macs": [381464.0, null], "flops": [762928.0, null], "bops": [24413696.0, null], "parameters": [10066.0, null], "packed_size_mb": [0.01072, null], "latency_ms": [0.018936398850320578, 0.0001011123358144746], "throughput_ips": [182343.5485782897, 2272.682026256297]}, "samples": {"latency_ms.reference_ms": [0.018172, 0.018082, 0.018051499999999998, 0.018102, 0.018216999999999997, 0.018047, 0.0179665, 0.0181265, 0.0179915, 0.018112, 0.018132000000000002, 0.0179415, 0.018017, 0.018092, 0.018142], "latency_ms.candidate_ms": [0.019209, 0.018958, 0.018978, 0.019068, 0.019028, 0.018848, 0.019128, 0.019038, 0.019128, 0.019128, 0.018918, 0.018868, 0.019049, 0.019048, 0.019139], "throughput_ips.reference_ms": [0.286366, 0.291078, 0.269115, 0.2626855, 0.2673225, 0.263402, 0.2682945, 0.262215, 0.30988150000000003, 0.2690505, 0.28702700000000003, 0.266256, 0.264363, 0.2632765, 0.26260550000000005], "throughput_ips.candidate_ms": [0.19213049999999998, 0.174074, 0.180538, 0.1809345, 0.1741885, 0.173899, 0.1778845, 0.181946, 0.1758365, 0.1806385, 0.1758365, 0.196437, 0.174625, 0.194354, 0.17444500000000002]}, "seconds": {"compress": 0.009921199000018532, "recover": 0.007885832000056325, "export": 0.012141432999897006, "calibrate": 0.00715629599994827, "load": 0.002227975000096194, "score": 0.0012522429999535234, "tracking": 2.618900020934234e-05, "measure": 0.20075059200007672, "search": 0.00041020899993782223, "record": 0.093481225000005}, "artifact_sha256": "5984bf5f958ed811e0dd3243828ed436a4e66628e5b5dd4f0b08201530294d28", "details": {"warnings": ["load average 7.85 on 2 cores before timing", "the process had a core 38% of the time only: others compete", "load average 7.85 on 2 cores before timing", "the process had a core 36% of the time only: others compete"], "latency_ms.ratio": [1.0528410347114745, 1.0401087823661217, 1.0651933767384956], "throughput_ips.ratio": [0.6642854014862597, 0.6496048581731684, 0.6880760829986317]}}, "outcome": [[0.020000000000000018, 0.6747292617326156], [0.006992387196219549, 0.0033358915205759345], [-0.826086956521739], [0.060803366923648246]], "score": -0.6747292617326156, "reason": null, "distinct": true, "seconds": 0.33840989600003013}');
INSERT INTO "trial_system_attributes" VALUES(8,3,'constraints','[-0.826086956521739]');
INSERT INTO "trial_system_attributes" VALUES(9,3,'constraints:top1_error <= 0.115','-0.826086956521739');
INSERT INTO "trial_system_attributes" VALUES(10,4,'moco:trial','{"format": 2, "number": 3, "suggestion": {"id": -4, "point": {"stem.0.keep": 0.755, "stem.0.precision": "int8", "inner.0.keep": 0.755, "inner.0.precision": "int8", "outer.0.precision": "int8", "down.0.keep": 0.755, "down.0.precision": "int8", "point.0.keep": 0.755, "point.0.precision": "int8", "linear.precision": "int8"}, "notes": {"start": "ladder 0.35 int8"}}, "state": "complete", "point": {"stem.0.precision": "int8", "stem.0.keep": 0.75, "inner.0.precision": "int8", "inner.0.keep": 0.75, "outer.0.precision": "int8", "down.0.precision": "int8", "down.0.keep": 0.75, "point.0.precision": "int8", "point.0.keep": 0.75, "linear.precision": "int8"}, "policy": "{\"down.0\":{\"filter_pruning\":{\"keep\":24,\"of\":32},\"precision\":\"int8\"},\"inner.0\":{\"filter_pruning\":{\"keep\":12,\"of\":16},\"precision\":\"int8\"},\"linear\":{\"precision\":\"int8\"},\"outer.0\":{\"precision\":\"int8\"},\"point.0\":{\"filter_pruning\":{\"keep\":24,\"of\":32},\"precision\":\"int8\"},\"stem.0\":{\"filter_pruning\":{\"keep\":12,\"of\":16},\"precision\":\"int8\"}}", "evaluation": {"metrics": {"top1_error": [0.19999999999999996, 0.027662049957883756], "top5_error": [0.0050000000000000044, 0.006992387196219549], "size_mb": [0.009608, null], "macs": [223728.0, null], "flops": [447456.0, null], "bops": [14318592.0, null], "parameters": [6286.0, null], "packed_size_mb": [0.00682, null], "latency_ms": [0.021322789570143278, 0.00011733104329243735], "throughput_ips": [138372.91705246543, 3062.3368960921184]}, "samples": {"latency_ms.reference_ms": [0.018097, 0.018047, 0.018107, 0.017957, 0.018117, 0.018006, 0.018027, 0.018057, 0.018167, 0.018046, 0.017937, 0.018037, 0.018016, 0.017977, 0.017976], "latency_ms.candidate_ms": [0.021492, 0.0213515, 0.021235999999999998, 0.021582, 0.021226500000000002, 0.021346499999999997, 0.0212365, 0.021412, 0.0213315, 0.021452, 0.021276999999999997, 0.0213365, 0.021202, 0.021332, 0.021312], "throughput_ips.reference_ms": [0.2639275, 0.2651445, 0.2621945, 0.293301, 0.26287099999999997, 0.2624, 0.263337, 0.310066, 0.26217500000000005, 0.2839125, 0.2629165, 0.262941, 0.26842449999999995, 0.299435, 0.2620095], "throughput_ips.candidate_ms": [0.2302825, 0.25888, 0.22858499999999998, 0.2578735, 0.2284845, 0.25174949999999996, 0.226672, 0.22627150000000001, 0.2718945, 0.2272375, 0.23352250000000002, 0.253026, 0.248129, 0.2261115, 0.22935650000000002]}, "seconds": {"compress": 0.002866243999960716, "recover": 0.018289878000132376, "export": 0.01593583699991541, "calibrate": 0.007324144999984128, "load": 0.002568972000062786, "score": 0.00998564500014254, "tracking": 3.513200022098317e-05, "measure": 0.20685040600005777, "search": 0.00047718999985590926, "record": 0.10408862500003124}, "artifact_sha256": "894fce05a54038784ba9353a8b863212f719eb2f0ccf726d1258ec8daf263138", "details": {"warnings": ["load average 7.85 on 2 cores before timing", "the process had a core 34% of the time only: others compete", "load average 7.85 on 2 cores before timing", "the process had a core 35% of the time only: others compete"], "latency_ms.ratio": [1.1855214928357212, 1.1687368563245972, 1.1978370369382056], "throughput_ips.ratio": [0.8753747478621959, 0.8598528586104407, 0.9584191058191162]}}, "outcome": [[0.19999999999999996, 0.7593338841719302], [0.027662049957883756, 0.006813931875123499], [0.739130434782608], [0.24053956485116307]], "score": -50.0, "reason": null, "distinct": true, "seconds": 0.37175603399987267}');
INSERT INTO "trial_system_attributes" VALUES(11,4,'constraints','[0.739130434782608]');
INSERT INTO "trial_system_attributes" VALUES(12,4,'constraints:top1_error <= 0.115','0.739130434782608');
INSERT INTO "trial_system_attributes" VALUES(13,5,'moco:trial','{"format": 2, "number": 4, "suggestion": {"id": -5, "point": {"stem.0.keep": 0.65, "stem.0.precision": "int8", "inner.0.keep": 0.65, "inner.0.precision": "int8", "outer.0.precision": "int8", "down.0.keep": 0.65, "down.0.precision": "int8", "point.0.keep": 0.65, "point.0.precision": "int8", "linear.precision": "int8"}, "notes": {"start": "ladder 0.5 int8"}}, "state": "complete", "point": {"stem.0.precision": "int8", "stem.0.keep": 0.75, "inner.0.precision": "int8", "inner.0.keep": 0.75, "outer.0.precision": "int8", "down.0.precision": "int8", "down.0.keep": 0.625, "point.0.precision": "int8", "point.0.keep": 0.625, "linear.precision": "int8"}, "policy": "{\"down.0\":{\"filter_pruning\":{\"keep\":20,\"of\":32},\"precision\":\"int8\"},\"inner.0\":{\"filter_pruning\":{\"keep\":12,\"of\":16},\"precision\":\"int8\"},\"linear\":{\"precision\":\"int8\"},\"outer.0\":{\"precision\":\"int8\"},\"point.0\":{\"filter_pruning\":{\"keep\":20,\"of\":32},\"precision\":\"int8\"},\"stem.0\":{\"filter_pruning\":{\"keep\":12,\"of\":16},\"precision\":\"int8\"}}", "evaluation": {"metrics": {"top1_error": [0.27, 0.03174644145182839], "top5_error": [0.0050000000000000044, 0.006992387196219549], "size_mb": [0.008864, null], "macs": [213960.0, null], "flops": [427920.0, null], "bops": [13693440.0, null], "parameters": [5622.0, null], "packed_size_mb": [0.006108, null], "latency_ms": [0.02141188101904471, 0.00011807465664186752], "throughput_ips": [137349.77919555263, 3395.224224021423]}, "samples": {"latency_ms.reference_ms": [0.018012, 0.018077, 0.018167000000000003, 0.017962, 0.018192, 0.017941, 0.017917, 0.017957, 0.018086, 0.0180315, 0.018027, 0.018007, 0.018181999999999997, 0.017926499999999998, 0.0180365], "latency_ms.candidate_ms": [0.021732, 0.021542, 0.021342, 0.021532, 0.021391, 0.021322, 0.021412, 0.021332, 0.021362, 0.021492, 0.021492, 0.021362, 0.021251, 0.021472, 0.021472], "throughput_ips.reference_ms": [0.281819, 0.3091295, 0.26524400000000004, 0.313301, 0.264318, 0.2957995, 0.26244049999999997, 0.26502899999999996, 0.26192499999999996, 0.2833865, 0.2611585, 0.263577, 0.289676, 0.261479, 0.265094], "throughput_ips.candidate_ms": [0.23608099999999999, 0.23988199999999998, 0.2339175, 0.23370200000000002, 0.23155900000000001, 0.235425, 0.23221, 0.25762850000000004, 0.2396215, 0.2370775, 0.247528, 0.232501, 0.235951, 0.23243049999999998, 0.2922595]}, "seconds": {"compress": 0.00875038700019104, "recover": 0.012645312000131526, "export": 0.003815246999693045, "calibrate": 0.009812206999868067, "load": 0.009964052999976047, "score": 0.008816224999918632, "tracking": 2.3905000034574186e-05, "measure": 0.22093996600005994, "search": 0.001354215000219483, "record": 0.11443796000003204}, "artifact_sha256": "7831967d4f1377c15dca8d3b4f23f052ef73ac4366f890bb90ba24ac73e25a77", "details": {"warnings": ["load average 7.85 on 2 cores before timing", "the process had a core 35% of the time only: others compete", "load average 7.85 on 2 cores before timing", "the process had a core 30% of the time only: others compete"], "latency_ms.ratio": [1.1904748704016854, 1.1741617581463222, 1.2045376407771928], "throughput_ips.ratio": [0.8818955376935952, 0.8153974800625542, 0.9159650457646689]}}, "outcome": [[0.27, 0.7575547200712283], [0.03174644145182839, 0.007589021517685634], [1.3478260869565215], [0.2760560126245946]], "score": -50.0, "reason": null, "distinct": true, "seconds": 0.401932755000189}');
INSERT INTO "trial_system_attributes" VALUES(14,5,'constraints','[1.3478260869565215]');
INSERT INTO "trial_system_attributes" VALUES(15,5,'constraints:top1_error <= 0.115','1.3478260869565215');
INSERT INTO "trial_system_attributes" VALUES(16,6,'moco:trial','{"format": 2, "number": 5, "suggestion": {"id": -6, "point": {"stem.0.keep": 0.4750000000000001, "stem.0.precision": "int8", "inner.0.keep": 0.4750000000000001, "inner.0.precision": "int8", "outer.0.precision": "int8", "down.0.keep": 0.4750000000000001, "down.0.precision": "int8", "point.0.keep": 0.4750000000000001, "point.0.precision": "int8", "linear.precision": "int8"}, "notes": {"start": "ladder 0.75 int8"}}, "state": "complete", "point": {"stem.0.precision": "int8", "stem.0.keep": 0.5, "inner.0.precision": "int8", "inner.0.keep": 0.5, "outer.0.precision": "int8", "down.0.precision": "int8", "down.0.keep": 0.5, "point.0.precision": "int8", "point.0.keep": 0.5, "linear.precision": "int8"}, "policy": "{\"down.0\":{\"filter_pruning\":{\"keep\":16,\"of\":32},\"precision\":\"int8\"},\"inner.0\":{\"filter_pruning\":{\"keep\":8,\"of\":16},\"precision\":\"int8\"},\"linear\":{\"precision\":\"int8\"},\"outer.0\":{\"precision\":\"int8\"},\"point.0\":{\"filter_pruning\":{\"keep\":16,\"of\":32},\"precision\":\"int8\"},\"stem.0\":{\"filter_pruning\":{\"keep\":8,\"of\":16},\"precision\":\"int8\"}}", "evaluation": {"metrics": {"top1_error": [0.76, 0.03134647031179506], "top5_error": [0.06000000000000005, 0.01735297073686669], "size_mb": [0.005955, null], "macs": [101024.0, null], "flops": [202048.0, null], "bops": [6465536.0, null], "parameters": [2914.0, null], "packed_size_mb": [0.00328, null], "latency_ms": [0.019876818156839032, 0.00011344110660904615], "throughput_ips": [166742.17217449448, 2894.0845075969264]}, "samples": {"latency_ms.reference_ms": [0.018032, 0.017902, 0.018142, 0.018197, 0.018192, 0.0211815, 0.0180265, 0.0179915, 0.018167, 0.018197, 0.0180215, 0.017891499999999998, 0.018112000000000003, 0.018167, 0.018082], "latency_ms.candidate_ms": [0.02015, 0.036775, 0.0199995, 0.020175, 0.0200795, 0.020596, 0.0199145, 0.020220000000000002, 0.01997, 0.02011, 0.019959499999999998, 0.02031, 0.02012, 0.020055, 0.0199795], "throughput_ips.reference_ms": [0.267623, 0.27853950000000005, 0.2621345, 0.29597, 0.26985099999999995, 0.31202399999999997, 0.26618600000000003, 0.2951995, 0.3061705, 0.2629315, 0.299616, 0.279005, 0.266937, 0.3083785, 0.2626605], "throughput_ips.candidate_ms": [0.196312, 0.192987, 0.208841, 0.208861, 0.195641, 0.219627, 0.213127, 0.203052, 0.19504, 0.193057, 0.217653, 0.21545, 0.19519, 0.192426, 0.195992]}, "seconds": {"compress": 0.002105252000319524, "recover": 0.013519091999796728, "export": 0.012051496999902156, "calibrate": 0.015329475000044113, "load": 0.0023657189999539696, "score": 0.009497438999915175, "tracking": 2.7090000003227033e-05, "measure": 0.23139080299984016, "search": 0.00045871299994360015, "record": 0.10709793099999843}, "artifact_sha256": "e44727adc1937f9af92b7e9cec70dc87d1b0ce6b085466bfbafb20e3be0aa76d", "details": {"warnings": ["load average 7.85 on 2 cores before timing", "the process had a core 35% of the time only: others compete", "load average 8.1 on 2 cores before timing", "the process had a core 32% of the time only: others compete"], "latency_ms.ratio": [1.105127218772325, 1.0925811197392128, 1.1219948189896591], "throughput_ips.ratio": [0.7264398429990389, 0.6907445222032721, 0.7463668186558426]}}, "outcome": [[0.76, 0.6553760427725055], [0.03134647031179506, 0.004699365956086633], [5.608695652173912], [0.27257800271126137]], "score": -50.0, "reason": null, "distinct": true, "seconds": 0.39905797899996287}');
INSERT INTO "trial_system_attributes" VALUES(17,6,'constraints','[5.608695652173912]');
INSERT INTO "trial_system_attributes" VALUES(18,6,'constraints:top1_error <= 0.115','5.608695652173912');
INSERT INTO "trial_system_attributes" VALUES(19,7,'moco:trial','{"format": 2, "number": 6, "suggestion": {"id": 0, "point": {"stem.0.keep": 0.9999999999999999, "stem.0.precision": "float32", "inner.0.keep": 0.9999999999999999, "inner.0.precision": "int8", "outer.0.precision": "float32", "down.0.keep": 0.9999999999999999, "down.0.precision": "int8", "point.0.keep": 0.9999999999999999, "point.0.precision": "float32", "linear.precision": "int8"}, "notes": {}}, "state": "complete", "point": {"stem.0.precision": "float32", "stem.0.keep": 1.0, "inner.0.precision": "int8", "inner.0.keep": 1.0, "outer.0.precision": "float32", "down.0.precision": "int8", "down.0.keep": 1.0, "point.0.precision": "float32", "point.0.keep": 1.0, "linear.precision": "int8"}, "policy": "{\"down.0\":{\"precision\":\"int8\"},\"inner.0\":{\"precision\":\"int8\"},\"linear\":{\"precision\":\"int8\"}}", "evaluation": {"metrics": {"top1_error": [0.015000000000000013, 0.0049504950495049506], "top5_error": [0.0, 0.0049504950495049506], "size_mb": [0.02382, null], "macs": [394560.0, null], "flops": [789120.0, null], "bops": [191385600.0, null], "parameters": [10938.0, null], "packed_size_mb": [0.022056, null], "latency_ms": [0.022221189832102452, 0.0001229552745984023], "throughput_ips": [145582.25592340916, 2507.4355228737636]}, "samples": {"latency_ms.reference_ms": [0.0180765, 0.0179565, 0.0179565, 0.0179415, 0.018152, 0.017987, 0.018142, 0.018117, 0.0179365, 0.017962, 0.017992, 0.017956, 0.018112000000000003, 0.018102, 0.018182], "latency_ms.candidate_ms": [0.022333, 0.022103, 0.022153, 0.022324, 0.022093, 0.022073, 0.022493, 0.022393, 0.022253, 0.022083, 0.022203, 0.022093, 0.022483, 0.022514, 0.022604], "throughput_ips.reference_ms": [0.26287099999999997, 0.2626305, 0.26149900000000004, 0.26228, 0.32152800000000004, 0.262826, 0.29996599999999995, 0.2617035, 0.2621695, 0.263567, 0.315239, 0.268084, 0.2609585, 0.2842775, 0.3437405], "throughput_ips.candidate_ms": [0.2504875, 0.2268325, 0.220222, 0.21760849999999998, 0.227929, 0.215876, 0.234564, 0.217744, 0.231219, 0.21885, 0.27224550000000003, 0.227012, 0.269165, 0.218916, 0.21538049999999997]}, "seconds": {"compress": 0.0011576529998365004, "export": 0.02825242899962177, "calibrate": 0.005605598999864014, "load": 0.0023571469998842076, "score": 0.006612977000031606, "tracking": 2.4306000113938353e-05, "measure": 0.1774595929998668, "search": 0.0019426200001362304, "record": 0.13109412899984818}, "artifact_sha256": "6c46a3c570f7d61f9e7c43ff84ce4974285f4ef8ebab4697221926a1f41cc154", "details": {"warnings": ["load average 8.1 on 2 cores before timing", "the process had a core 39% of the time only: others compete", "load average 8.1 on 2 cores before timing", "the process had a core 38% of the time only: others compete"], "latency_ms.ratio": [1.2354714684811772, 1.2199821406268374, 1.2511943056147934], "throughput_ips.ratio": [0.8320255556383465, 0.7850263292453723, 0.8691682462572295]}}, "outcome": [[0.015000000000000013, 0.8685804301013784], [0.0049504950495049506, 0.005292481290665742], [-0.8695652173913042], [0.043047783039173476]], "score": -0.8685804301013784, "reason": null, "distinct": true, "seconds": 0.3576739449999877}');
INSERT INTO "trial_system_attributes" VALUES(20,7,'constraints','[-0.8695652173913042]');
INSERT INTO "trial_system_attributes" VALUES(21,7,'constraints:top1_error <= 0.115','-0.8695652173913042');
INSERT INTO "trial_system_attributes" VALUES(22,8,'moco:trial','{"format": 2, "number": 7, "suggestion": {"id": 1, "point": {"stem.0.keep": 0.75, "stem.0.precision": "int8", "inner.0.keep": 0.9999999999999999, "inner.0.precision": "int8", "outer.0.precision": "int8", "down.0.keep": 0.8215991250013988, "down.0.precision": "int8", "point.0.keep": 0.75, "point.0.precision": "int8", "linear.precision": "int8"}, "notes": {}}, "state": "complete", "point": {"stem.0.precision": "int8", "stem.0.keep": 0.75, "inner.0.precision": "int8", "inner.0.keep": 1.0, "outer.0.precision": "int8", "down.0.precision": "int8", "down.0.keep": 0.875, "point.0.precision": "int8", "point.0.keep": 0.75, "linear.precision": "int8"}, "policy": "{\"down.0\":{\"filter_pruning\":{\"keep\":28,\"of\":32},\"precision\":\"int8\"},\"inner.0\":{\"precision\":\"int8\"},\"linear\":{\"precision\":\"int8\"},\"outer.0\":{\"precision\":\"int8\"},\"point.0\":{\"filter_pruning\":{\"keep\":24,\"of\":32},\"precision\":\"int8\"},\"stem.0\":{\"filter_pruning\":{\"keep\":12,\"of\":16},\"precision\":\"int8\"}}", "evaluation": {"metrics": {"top1_error": [0.19499999999999995, 0.02737769606334915], "top5_error": [0.010000000000000009, 0.008546163386663938], "size_mb": [0.011096, null], "macs": [287472.0, null], "flops": [574944.0, null], "bops": [18398208.0, null], "parameters": [7694.0, null], "packed_size_mb": [0.008276, null], "latency_ms": [0.020129809885931556, 0.00011033600539174739], "throughput_ips": [166670.5677160815, 5588.522896572613]}, "samples": {"latency_ms.reference_ms": [0.018161999999999998, 0.018102, 0.018122, 0.018142, 0.018032, 0.018077, 0.018112000000000003, 0.018017, 0.018252, 0.026189, 0.018337, 0.018187000000000002, 0.018177, 0.018147, 0.0180615], "latency_ms.candidate_ms": [0.02036, 0.020321, 0.02041, 0.02029, 0.02025, 0.02023, 0.0201, 0.0201, 0.02012, 0.031957, 0.02019, 0.02042, 0.020159, 0.02031, 0.020401], "throughput_ips.reference_ms": [0.2647135, 0.303191, 0.2921995, 0.26820849999999996, 0.266722, 0.3332305, 0.300241, 0.2632315, 0.3163005, 0.280302, 0.272906, 0.26170950000000004, 0.28873899999999997, 0.2944075, 0.288334], "throughput_ips.candidate_ms": [0.217674, 0.194068, 0.219447, 0.192146, 0.205396, 0.275109, 0.201539, 0.20144, 0.229872, 0.227358, 0.19471, 0.199376, 0.191615, 0.202631, 0.192246]}, "seconds": {"compress": 0.010509753999940585, "recover": 0.016318525000087902, "export": 0.020186231000025145, "calibrate": 0.00688576299990018, "load": 0.002429573999961576, "score": 0.009683645999984947, "tracking": 2.8401999998095562e-05, "measure": 0.25798708800016357, "search": 0.0020965090000117925, "record": 0.10643908100018962}, "artifact_sha256": "19a1fef85288aac948695d1d8e5f73587ebaf0a968cc53ca8e42e071ca5c27dc", "details": {"warnings": ["load average 8.1 on 2 cores before timing", "the process had a core 32% of the time only: others compete", "load average 8.1 on 2 cores before timing", "the process had a core 29% of the time only: others compete"], "latency_ms.ratio": [1.1191932550834849, 1.105453739575784, 1.1327106400075715], "throughput_ips.ratio": [0.726751933683317, 0.673263270723584, 0.7723305110232781]}}, "outcome": [[0.19499999999999995, 0.6988913066612045], [0.02737769606334915, 0.008376184719375289], [0.6956521739130428], [0.23806692228999257]], "score": -50.0, "reason": null, "distinct": true, "seconds": 0.43589450700028465}');
INSERT INTO "trial_system_attributes" VALUES(23,8,'constraints','[0.6956521739130428]');
INSERT INTO "trial_system_attributes" VALUES(24,8,'constraints:top1_error <= 0.115','0.6956521739130428');
CREATE TABLE trial_user_attributes (
	trial_user_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_user_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_user_attributes" VALUES(1,1,'origin','"reference"');
INSERT INTO "trial_user_attributes" VALUES(2,1,'state','"complete"');
INSERT INTO "trial_user_attributes" VALUES(3,1,'feasible','true');
INSERT INTO "trial_user_attributes" VALUES(4,1,'score','-0.9796990786205251');
INSERT INTO "trial_user_attributes" VALUES(5,1,'policy','"{}"');
INSERT INTO "trial_user_attributes" VALUES(6,1,'top1_error','0.015000000000000013');
INSERT INTO "trial_user_attributes" VALUES(7,1,'top5_error','0.0');
INSERT INTO "trial_user_attributes" VALUES(8,1,'size_mb','0.044255');
INSERT INTO "trial_user_attributes" VALUES(9,1,'macs','394560.0');
INSERT INTO "trial_user_attributes" VALUES(10,1,'flops','789120.0');
INSERT INTO "trial_user_attributes" VALUES(11,1,'bops','404029440.0');
INSERT INTO "trial_user_attributes" VALUES(12,1,'parameters','10938.0');
INSERT INTO "trial_user_attributes" VALUES(13,1,'packed_size_mb','0.043752');
INSERT INTO "trial_user_attributes" VALUES(14,1,'latency_ms','0.01743477410007801');
INSERT INTO "trial_user_attributes" VALUES(15,1,'throughput_ips','124907.25975609185');
INSERT INTO "trial_user_attributes" VALUES(16,2,'origin','"int8"');
INSERT INTO "trial_user_attributes" VALUES(17,2,'state','"complete"');
INSERT INTO "trial_user_attributes" VALUES(18,2,'feasible','true');
INSERT INTO "trial_user_attributes" VALUES(19,2,'score','-0.6835914932327688');
INSERT INTO "trial_user_attributes" VALUES(20,2,'policy','"{\"down.0\":{\"precision\":\"int8\"},\"inner.0\":{\"precision\":\"int8\"},\"linear\":{\"precision\":\"int8\"},\"outer.0\":{\"precision\":\"int8\"},\"point.0\":{\"precision\":\"int8\"},\"stem.0\":{\"precision\":\"int8\"}}"');
INSERT INTO "trial_user_attributes" VALUES(21,2,'top1_error','0.015000000000000013');
INSERT INTO "trial_user_attributes" VALUES(22,2,'top5_error','0.0');
INSERT INTO "trial_user_attributes" VALUES(23,2,'size_mb','0.014553');
INSERT INTO "trial_user_attributes" VALUES(24,2,'macs','394560.0');
INSERT INTO "trial_user_attributes" VALUES(25,2,'flops','789120.0');
INSERT INTO "trial_user_attributes" VALUES(26,2,'bops','25251840.0');
INSERT INTO "trial_user_attributes" VALUES(27,2,'parameters','10938.0');
INSERT INTO "trial_user_attributes" VALUES(28,2,'packed_size_mb','0.01164');
INSERT INTO "trial_user_attributes" VALUES(29,2,'latency_ms','0.01889097492600659');
INSERT INTO "trial_user_attributes" VALUES(30,2,'throughput_ips','180353.62560112422');
INSERT INTO "trial_user_attributes" VALUES(31,3,'origin','"ladder 0.2 int8"');
INSERT INTO "trial_user_attributes" VALUES(32,3,'state','"complete"');
INSERT INTO "trial_user_attributes" VALUES(33,3,'feasible','true');
INSERT INTO "trial_user_attributes" VALUES(34,3,'score','-0.6747292617326156');
INSERT INTO "trial_user_attributes" VALUES(35,3,'policy','"{\"down.0\":{\"filter_pruning\":{\"keep\":28,\"of\":32},\"precision\":\"int8\"},\"inner.0\":{\"precision\":\"int8\"},\"linear\":{\"precision\":\"int8\"},\"outer.0\":{\"precision\":\"int8\"},\"point.0\":{\"filter_pruning\":{\"keep\":28,\"of\":32},\"precision\":\"int8\"},\"stem.0\":{\"precision\":\"int8\"}}"');
INSERT INTO "trial_user_attributes" VALUES(36,3,'top1_error','0.020000000000000018');
INSERT INTO "trial_user_attributes" VALUES(37,3,'top5_error','0.0');
INSERT INTO "trial_user_attributes" VALUES(38,3,'size_mb','0.013589');
INSERT INTO "trial_user_attributes" VALUES(39,3,'macs','381464.0');
INSERT INTO "trial_user_attributes" VALUES(40,3,'flops','762928.0');
INSERT INTO "trial_user_attributes" VALUES(41,3,'bops','24413696.0');
INSERT INTO "trial_user_attributes" VALUES(42,3,'parameters','10066.0');
INSERT INTO "trial_user_attributes" VALUES(43,3,'packed_size_mb','0.01072');
INSERT INTO "trial_user_attributes" VALUES(44,3,'latency_ms','0.018936398850320578');
INSERT INTO "trial_user_attributes" VALUES(45,3,'throughput_ips','182343.5485782897');
INSERT INTO "trial_user_attributes" VALUES(46,4,'origin','"ladder 0.35 int8"');
INSERT INTO "trial_user_attributes" VALUES(47,4,'state','"complete"');
INSERT INTO "trial_user_attributes" VALUES(48,4,'feasible','false');
INSERT INTO "trial_user_attributes" VALUES(49,4,'score','-50.0');
INSERT INTO "trial_user_attributes" VALUES(50,4,'policy','"{\"down.0\":{\"filter_pruning\":{\"keep\":24,\"of\":32},\"precision\":\"int8\"},\"inner.0\":{\"filter_pruning\":{\"keep\":12,\"of\":16},\"precision\":\"int8\"},\"linear\":{\"precision\":\"int8\"},\"outer.0\":{\"precision\":\"int8\"},\"point.0\":{\"filter_pruning\":{\"keep\":24,\"of\":32},\"precision\":\"int8\"},\"stem.0\":{\"filter_pruning\":{\"keep\":12,\"of\":16},\"precision\":\"int8\"}}"');
INSERT INTO "trial_user_attributes" VALUES(51,4,'top1_error','0.19999999999999996');
INSERT INTO "trial_user_attributes" VALUES(52,4,'top5_error','0.0050000000000000044');
INSERT INTO "trial_user_attributes" VALUES(53,4,'size_mb','0.009608');
INSERT INTO "trial_user_attributes" VALUES(54,4,'macs','223728.0');
INSERT INTO "trial_user_attributes" VALUES(55,4,'flops','447456.0');
INSERT INTO "trial_user_attributes" VALUES(56,4,'bops','14318592.0');
INSERT INTO "trial_user_attributes" VALUES(57,4,'parameters','6286.0');
INSERT INTO "trial_user_attributes" VALUES(58,4,'packed_size_mb','0.00682');
INSERT INTO "trial_user_attributes" VALUES(59,4,'latency_ms','0.021322789570143278');
INSERT INTO "trial_user_attributes" VALUES(60,4,'throughput_ips','138372.91705246543');
INSERT INTO "trial_user_attributes" VALUES(61,5,'origin','"ladder 0.5 int8"');
INSERT INTO "trial_user_attributes" VALUES(62,5,'state','"complete"');
INSERT INTO "trial_user_attributes" VALUES(63,5,'feasible','false');
INSERT INTO "trial_user_attributes" VALUES(64,5,'score','-50.0');
INSERT INTO "trial_user_attributes" VALUES(65,5,'policy','"{\"down.0\":{\"filter_pruning\":{\"keep\":20,\"of\":32},\"precision\":\"int8\"},\"inner.0\":{\"filter_pruning\":{\"keep\":12,\"of\":16},\"precision\":\"int8\"},\"linear\":{\"precision\":\"int8\"},\"outer.0\":{\"precision\":\"int8\"},\"point.0\":{\"filter_pruning\":{\"keep\":20,\"of\":32},\"precision\":\"int8\"},\"stem.0\":{\"filter_pruning\":{\"keep\":12,\"of\":16},\"precision\":\"int8\"}}"');
INSERT INTO "trial_user_attributes" VALUES(66,5,'top1_error','0.27');
INSERT INTO "trial_user_attributes" VALUES(67,5,'top5_error','0.0050000000000000044');
INSERT INTO "trial_user_attributes" VALUES(68,5,'size_mb','0.008864');
INSERT INTO "trial_user_attributes" VALUES(69,5,'macs','213960.0');
INSERT INTO "trial_user_attributes" VALUES(70,5,'flops','427920.0');
INSERT INTO "trial_user_attributes" VALUES(71,5,'bops','13693440.0');
INSERT INTO "trial_user_attributes" VALUES(72,5,'parameters','5622.0');
INSERT INTO "trial_user_attributes" VALUES(73,5,'packed_size_mb','0.006108');
INSERT INTO "trial_user_attributes" VALUES(74,5,'latency_ms','0.02141188101904471');
INSERT INTO "trial_user_attributes" VALUES(75,5,'throughput_ips','137349.77919555263');
INSERT INTO "trial_user_attributes" VALUES(76,6,'origin','"ladder 0.75 int8"');
INSERT INTO "trial_user_attributes" VALUES(77,6,'state','"complete"');
INSERT INTO "trial_user_attributes" VALUES(78,6,'feasible','false');
INSERT INTO "trial_user_attributes" VALUES(79,6,'score','-50.0');
INSERT INTO "trial_user_attributes" VALUES(80,6,'policy','"{\"down.0\":{\"filter_pruning\":{\"keep\":16,\"of\":32},\"precision\":\"int8\"},\"inner.0\":{\"filter_pruning\":{\"keep\":8,\"of\":16},\"precision\":\"int8\"},\"linear\":{\"precision\":\"int8\"},\"outer.0\":{\"precision\":\"int8\"},\"point.0\":{\"filter_pruning\":{\"keep\":16,\"of\":32},\"precision\":\"int8\"},\"stem.0\":{\"filter_pruning\":{\"keep\":8,\"of\":16},\"precision\":\"int8\"}}"');
INSERT INTO "trial_user_attributes" VALUES(81,6,'top1_error','0.76');
INSERT INTO "trial_user_attributes" VALUES(82,6,'top5_error','0.06000000000000005');
INSERT INTO "trial_user_attributes" VALUES(83,6,'size_mb','0.005955');
INSERT INTO "trial_user_attributes" VALUES(84,6,'macs','101024.0');
INSERT INTO "trial_user_attributes" VALUES(85,6,'flops','202048.0');
INSERT INTO "trial_user_attributes" VALUES(86,6,'bops','6465536.0');
INSERT INTO "trial_user_attributes" VALUES(87,6,'parameters','2914.0');
INSERT INTO "trial_user_attributes" VALUES(88,6,'packed_size_mb','0.00328');
INSERT INTO "trial_user_attributes" VALUES(89,6,'latency_ms','0.019876818156839032');
INSERT INTO "trial_user_attributes" VALUES(90,6,'throughput_ips','166742.17217449448');
INSERT INTO "trial_user_attributes" VALUES(91,7,'origin','"search"');
INSERT INTO "trial_user_attributes" VALUES(92,7,'state','"complete"');
INSERT INTO "trial_user_attributes" VALUES(93,7,'feasible','true');
INSERT INTO "trial_user_attributes" VALUES(94,7,'score','-0.8685804301013784');
INSERT INTO "trial_user_attributes" VALUES(95,7,'policy','"{\"down.0\":{\"precision\":\"int8\"},\"inner.0\":{\"precision\":\"int8\"},\"linear\":{\"precision\":\"int8\"}}"');
INSERT INTO "trial_user_attributes" VALUES(96,7,'top1_error','0.015000000000000013');
INSERT INTO "trial_user_attributes" VALUES(97,7,'top5_error','0.0');
INSERT INTO "trial_user_attributes" VALUES(98,7,'size_mb','0.02382');
INSERT INTO "trial_user_attributes" VALUES(99,7,'macs','394560.0');
INSERT INTO "trial_user_attributes" VALUES(100,7,'flops','789120.0');
INSERT INTO "trial_user_attributes" VALUES(101,7,'bops','191385600.0');
INSERT INTO "trial_user_attributes" VALUES(102,7,'parameters','10938.0');
INSERT INTO "trial_user_attributes" VALUES(103,7,'packed_size_mb','0.022056');
INSERT INTO "trial_user_attributes" VALUES(104,7,'latency_ms','0.022221189832102452');
INSERT INTO "trial_user_attributes" VALUES(105,7,'throughput_ips','145582.25592340916');
INSERT INTO "trial_user_attributes" VALUES(106,8,'origin','"search"');
INSERT INTO "trial_user_attributes" VALUES(107,8,'state','"complete"');
INSERT INTO "trial_user_attributes" VALUES(108,8,'feasible','false');
INSERT INTO "trial_user_attributes" VALUES(109,8,'score','-50.0');
INSERT INTO "trial_user_attributes" VALUES(110,8,'policy','"{\"down.0\":{\"filter_pruning\":{\"keep\":28,\"of\":32},\"precision\":\"int8\"},\"inner.0\":{\"precision\":\"int8\"},\"linear\":{\"precision\":\"int8\"},\"outer.0\":{\"precision\":\"int8\"},\"point.0\":{\"filter_pruning\":{\"keep\":24,\"of\":32},\"precision\":\"int8\"},\"stem.0\":{\"filter_pruning\":{\"keep\":12,\"of\":16},\"precision\":\"int8\"}}"');
INSERT INTO "trial_user_attributes" VALUES(111,8,'top1_error','0.19499999999999995');
INSERT INTO "trial_user_attributes" VALUES(112,8,'top5_error','0.010000000000000009');
INSERT INTO "trial_user_attributes" VALUES(113,8,'size_mb','0.011096');
INSERT INTO "trial_user_attributes" VALUES(114,8,'macs','287472.0');
INSERT INTO "trial_user_attributes" VALUES(115,8,'flops','574944.0');
INSERT INTO "trial_user_attributes" VALUES(116,8,'bops','18398208.0');
INSERT INTO "trial_user_attributes" VALUES(117,8,'parameters','7694.0');
INSERT INTO "trial_user_attributes" VALUES(118,8,'packed_size_mb','0.008276');
INSERT INTO "trial_user_attributes" VALUES(119,8,'latency_ms','0.020129809885931556');
INSERT INTO "trial_user_attributes" VALUES(120,8,'throughput_ips','166670.5677160815');
CREATE TABLE trial_values (
	trial_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	value FLOAT, 
	value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_value_id), 
	UNIQUE (trial_id, objective), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_values" VALUES(1,1,0,1.50000000000000133226e-02,'FINITE');
INSERT INTO "trial_values" VALUES(2,1,1,9.79699078620525076743e-01,'FINITE');
INSERT INTO "trial_values" VALUES(3,2,0,1.50000000000000133226e-02,'FINITE');
INSERT INTO "trial_values" VALUES(4,2,1,6.83591493232768798726e-01,'FINITE');
INSERT INTO "trial_values" VALUES(5,3,0,2.00000000000000177635e-02,'FINITE');
INSERT INTO "trial_values" VALUES(6,3,1,6.74729261732615603897e-01,'FINITE');
INSERT INTO "trial_values" VALUES(7,4,0,1.99999999999999955591e-01,'FINITE');
INSERT INTO "trial_values" VALUES(8,4,1,7.59333884171930151296e-01,'FINITE');
INSERT INTO "trial_values" VALUES(9,5,0,0.27,'FINITE');
INSERT INTO "trial_values" VALUES(10,5,1,7.5755472007122826028e-01,'FINITE');
INSERT INTO "trial_values" VALUES(11,6,0,0.76,'FINITE');
INSERT INTO "trial_values" VALUES(12,6,1,6.55376042772505496003e-01,'FINITE');
INSERT INTO "trial_values" VALUES(13,7,0,1.50000000000000133226e-02,'FINITE');
INSERT INTO "trial_values" VALUES(14,7,1,8.68580430101378420104e-01,'FINITE');
INSERT INTO "trial_values" VALUES(15,8,0,1.9499999999999995115e-01,'FINITE');
INSERT INTO "trial_values" VALUES(16,8,1,6.98891306661204469996e-01,'FINITE');
CREATE TABLE trials (
	trial_id INTEGER NOT NULL, 
	number INTEGER, 
	study_id INTEGER, 
	state VARCHAR(8) NOT NULL, 
	datetime_start DATETIME, 
	datetime_complete DATETIME, 
	PRIMARY KEY (trial_id), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "trials" VALUES(1,0,1,'COMPLETE','2026-11-29 13:38:00.814793','2026-11-29 13:38:01.030512');
INSERT INTO "trials" VALUES(2,1,1,'COMPLETE','2026-11-29 13:38:01.030778','2026-11-29 13:38:01.381909');
INSERT INTO "trials" VALUES(3,2,1,'COMPLETE','2026-11-29 13:38:01.382026','2026-11-29 13:38:01.720436');
INSERT INTO "trials" VALUES(4,3,1,'COMPLETE','2026-11-29 13:38:01.720626','2026-11-29 13:38:02.092382');
INSERT INTO "trials" VALUES(5,4,1,'COMPLETE','2026-11-29 13:38:02.092535','2026-11-29 13:38:02.494468');
INSERT INTO "trials" VALUES(6,5,1,'COMPLETE','2026-11-29 13:38:02.494613','2026-11-29 13:38:02.893671');
INSERT INTO "trials" VALUES(7,6,1,'COMPLETE','2026-11-29 13:38:02.893823','2026-11-29 13:38:03.251497');
INSERT INTO "trials" VALUES(8,7,1,'COMPLETE','2026-11-29 13:38:03.251610','2026-11-29 13:38:03.687505');
CREATE TABLE version_info (
	version_info_id INTEGER NOT NULL, 
	schema_version INTEGER, 
	library_version VARCHAR(256), 
	PRIMARY KEY (version_info_id), 
	CHECK (version_info_id=1)
);
INSERT INTO "version_info" VALUES(1,12,'5.0.0');
CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name);
CREATE INDEX ix_trials_study_id ON trials (study_id);
COMMIT;
