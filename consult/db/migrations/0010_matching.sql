-- What experts review, speak and are licensed for; what a case needs; whom the scheduler chose, and why.

create table specialties (
  code text primary key check (code ~ '^[a-z0-9][a-z0-9-]{1,59}$'),
  name text not null check (name <> '' and length(name) <= 120)
);
create unique index specialties_name on specialties (lower(name));

-- The clinic's list. icd10: a hint for whoever looks one up, a code or a block of codes; "" if there is none.
create table conditions (
  code      text primary key check (code ~ '^[a-z0-9][a-z0-9-]{1,59}$'),
  name      text not null check (name <> '' and length(name) <= 120),
  specialty text not null references specialties,
  icd10     text not null default '' check (icd10 ~ '^([A-Z][0-9][0-9A-Z](\.[0-9A-Z]{1,4})?(-[A-Z][0-9][0-9A-Z])?)?$'),
  added_by  bigint references staff,     -- null: it came with Consult
  added_at  timestamptz
);
create unique index conditions_name on conditions (lower(name));

-- languages: BCP 47, without region and script. licences: ISO 3166-1 or 3166-2. No row: the expert has entered nothing yet.
create table expert_profiles (
  expert_id        bigint primary key references staff,
  languages        text[] not null default '{}' check (
    cardinality(languages) <= 20 and array_position(languages, null) is null
    and array_to_string(languages, ' ') ~ '^([a-z]{2,3}( |$))*$'
  ),
  licences         text[] not null default '{}' check (
    cardinality(licences) <= 60 and array_position(licences, null) is null
    and array_to_string(licences, ' ') ~ '^([A-Z]{2}(-[A-Z0-9]{1,3})?( |$))*$'
  ),
  new_cases_a_week smallint check (new_cases_a_week between 0 and 50),   -- null: not said
  leads_panels     boolean not null default false,
  updated_by       bigint not null references staff,
  updated_at       timestamptz not null
);

create table expert_conditions (
  expert_id bigint not null references expert_profiles,
  condition text not null references conditions,
  primary key (expert_id, condition)
);

create table expert_specialties (
  expert_id bigint not null references expert_profiles,
  specialty text not null references specialties,
  primary key (expert_id, specialty)
);

-- What a match needs to know of a case, beside the patient's first language. No row: nothing is known.
create table case_profiles (
  case_id         bigint primary key references cases,
  condition       text references conditions,
  other_languages text[] not null default '{}' check (
    cardinality(other_languages) <= 10 and array_position(other_languages, null) is null
    and array_to_string(other_languages, ' ') ~ '^([a-z]{2,3}( |$))*$'
  ),
  region          text check (region ~ '^[A-Z]{2}(-[A-Z0-9]{1,3})?$'),   -- where the patient lives
  updated_by      bigint not null references staff,
  updated_at      timestamptz not null
);

-- Whom the scheduler chose, with the reasons as the list gave them then. The latest of a case counts; none is changed.
create table expert_choices (
  id        uuid primary key,
  case_id   bigint not null references cases,
  expert_id bigint not null references staff,
  chosen_by bigint not null references staff,
  chosen_at timestamptz not null,
  place     integer not null check (place between 1 and of_experts),     -- on the list, 1 is first
  of_experts integer not null,
  reasons   jsonb not null check (jsonb_typeof(reasons) = 'array'),
  note      text not null default '' check (length(note) <= 500)
);
create index expert_choices_case on expert_choices (case_id, chosen_at desc, id);

insert into specialties (code, name) values
  ('thoracic-oncology', 'Thoracic oncology'),
  ('breast-oncology', 'Breast oncology'),
  ('gastrointestinal-oncology', 'Gastrointestinal oncology'),
  ('urological-oncology', 'Urological oncology'),
  ('gynaecological-oncology', 'Gynaecological oncology'),
  ('haematology', 'Haematology'),
  ('neuro-oncology', 'Neuro-oncology'),
  ('head-and-neck-oncology', 'Head and neck oncology'),
  ('skin-oncology', 'Skin oncology'),
  ('sarcoma', 'Sarcoma'),
  ('neurology', 'Neurology'),
  ('neurosurgery', 'Neurosurgery and spine'),
  ('cardiology', 'Cardiology'),
  ('rare-disease', 'Rare and genetic disease');

insert into conditions (code, name, specialty, icd10) values
  ('lung-cancer-non-small-cell', 'Non-small-cell lung cancer', 'thoracic-oncology', 'C34'),
  ('lung-cancer-small-cell', 'Small-cell lung cancer', 'thoracic-oncology', 'C34'),
  ('mesothelioma', 'Mesothelioma', 'thoracic-oncology', 'C45'),
  ('thymic-tumour', 'Thymoma and thymic carcinoma', 'thoracic-oncology', 'C37'),
  ('breast-cancer-early', 'Early breast cancer', 'breast-oncology', 'C50'),
  ('breast-cancer-metastatic', 'Metastatic breast cancer', 'breast-oncology', 'C50'),
  ('breast-carcinoma-in-situ', 'Carcinoma in situ of the breast', 'breast-oncology', 'D05'),
  ('oesophageal-cancer', 'Oesophageal cancer', 'gastrointestinal-oncology', 'C15'),
  ('stomach-cancer', 'Stomach cancer', 'gastrointestinal-oncology', 'C16'),
  ('colon-cancer', 'Colon cancer', 'gastrointestinal-oncology', 'C18'),
  ('rectal-cancer', 'Rectal cancer', 'gastrointestinal-oncology', 'C20'),
  ('liver-cancer', 'Liver cancer', 'gastrointestinal-oncology', 'C22'),
  ('biliary-cancer', 'Cancer of the bile ducts and gallbladder', 'gastrointestinal-oncology', 'C23-C24'),
  ('pancreatic-cancer', 'Pancreatic cancer', 'gastrointestinal-oncology', 'C25'),
  ('neuroendocrine-tumour', 'Neuroendocrine tumour', 'gastrointestinal-oncology', 'C7A'),
  ('prostate-cancer', 'Prostate cancer', 'urological-oncology', 'C61'),
  ('testicular-cancer', 'Testicular cancer', 'urological-oncology', 'C62'),
  ('kidney-cancer', 'Kidney cancer', 'urological-oncology', 'C64'),
  ('bladder-cancer', 'Bladder cancer', 'urological-oncology', 'C67'),
  ('cervical-cancer', 'Cervical cancer', 'gynaecological-oncology', 'C53'),
  ('endometrial-cancer', 'Endometrial cancer', 'gynaecological-oncology', 'C54'),
  ('ovarian-cancer', 'Ovarian cancer', 'gynaecological-oncology', 'C56'),
  ('hodgkin-lymphoma', 'Hodgkin lymphoma', 'haematology', 'C81'),
  ('non-hodgkin-lymphoma', 'Non-Hodgkin lymphoma', 'haematology', 'C82-C85'),
  ('multiple-myeloma', 'Multiple myeloma', 'haematology', 'C90.0'),
  ('leukaemia-acute-lymphoblastic', 'Acute lymphoblastic leukaemia', 'haematology', 'C91.0'),
  ('leukaemia-chronic-lymphocytic', 'Chronic lymphocytic leukaemia', 'haematology', 'C91.1'),
  ('leukaemia-acute-myeloid', 'Acute myeloid leukaemia', 'haematology', 'C92.0'),
  ('leukaemia-chronic-myeloid', 'Chronic myeloid leukaemia', 'haematology', 'C92.1'),
  ('myelodysplastic-syndrome', 'Myelodysplastic syndrome', 'haematology', 'D46'),
  ('glioblastoma', 'Glioblastoma', 'neuro-oncology', 'C71'),
  ('low-grade-glioma', 'Low-grade glioma', 'neuro-oncology', 'C71'),
  ('brain-metastases', 'Brain metastases', 'neuro-oncology', 'C79.3'),
  ('meningioma', 'Meningioma', 'neuro-oncology', 'D32'),
  ('head-and-neck-cancer', 'Cancer of the mouth, throat or larynx', 'head-and-neck-oncology', 'C00-C14'),
  ('thyroid-cancer', 'Thyroid cancer', 'head-and-neck-oncology', 'C73'),
  ('melanoma', 'Melanoma', 'skin-oncology', 'C43'),
  ('merkel-cell-carcinoma', 'Merkel cell carcinoma', 'skin-oncology', 'C4A'),
  ('bone-sarcoma', 'Bone sarcoma', 'sarcoma', 'C40-C41'),
  ('soft-tissue-sarcoma', 'Soft-tissue sarcoma', 'sarcoma', 'C49'),
  ('amyotrophic-lateral-sclerosis', 'Amyotrophic lateral sclerosis', 'neurology', 'G12.2'),
  ('parkinsons-disease', 'Parkinson''s disease', 'neurology', 'G20'),
  ('dementia', 'Alzheimer''s disease and other dementia', 'neurology', 'G30-G31'),
  ('multiple-sclerosis', 'Multiple sclerosis', 'neurology', 'G35'),
  ('epilepsy', 'Epilepsy', 'neurology', 'G40'),
  ('migraine', 'Migraine and other headache', 'neurology', 'G43-G44'),
  ('myasthenia-gravis', 'Myasthenia gravis', 'neurology', 'G70.0'),
  ('stroke', 'Stroke', 'neurology', 'I60-I64'),
  ('intracranial-aneurysm', 'Intracranial aneurysm', 'neurosurgery', 'I67.1'),
  ('spinal-stenosis', 'Spinal stenosis', 'neurosurgery', 'M48.0'),
  ('disc-herniation', 'Herniated disc', 'neurosurgery', 'M51'),
  ('coronary-artery-disease', 'Coronary artery disease', 'cardiology', 'I20-I25'),
  ('pulmonary-hypertension', 'Pulmonary hypertension', 'cardiology', 'I27.0'),
  ('mitral-valve-disease', 'Mitral valve disease', 'cardiology', 'I34'),
  ('aortic-stenosis', 'Aortic stenosis', 'cardiology', 'I35.0'),
  ('cardiomyopathy', 'Cardiomyopathy', 'cardiology', 'I42'),
  ('atrial-fibrillation', 'Atrial fibrillation', 'cardiology', 'I48'),
  ('heart-failure', 'Heart failure', 'cardiology', 'I50'),
  ('aortic-aneurysm', 'Aortic aneurysm', 'cardiology', 'I71'),
  ('congenital-heart-disease', 'Congenital heart disease', 'cardiology', 'Q20-Q26'),
  ('lysosomal-storage-disease', 'Lysosomal storage disease', 'rare-disease', 'E75'),
  ('cystic-fibrosis', 'Cystic fibrosis', 'rare-disease', 'E84'),
  ('amyloidosis', 'Amyloidosis', 'rare-disease', 'E85'),
  ('sarcoidosis', 'Sarcoidosis', 'rare-disease', 'D86'),
  ('systemic-sclerosis', 'Systemic sclerosis', 'rare-disease', 'M34'),
  ('ehlers-danlos-syndrome', 'Ehlers-Danlos syndrome', 'rare-disease', 'Q79.6'),
  ('marfan-syndrome', 'Marfan syndrome', 'rare-disease', 'Q87.4'),
  ('undiagnosed-illness', 'Illness without a diagnosis', 'rare-disease', 'R69');
